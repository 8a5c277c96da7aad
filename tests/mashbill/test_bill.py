"""The bill: checked whole before any work, and every message with its file, its line and the right name."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent, indent

import pytest

import mashbill.bill
from mashbill.bill import TOP, Bill, Release
from mashbill.errors import BillError
from mashbill.filter_stack import FilterStack
from mashbill.read_bill import read_bill
from mashbill.records import Document, Triple
from mashbill.runtime import RejectPolicy

Read = Callable[[str], Bill]

HEAD = """\
name: tolvarey
sources:
  almanac: {read_documents: {path: corpus}}
"""
GENERATES = "engine: {openai: {model: m}}\nstreams:\n  made: {from: almanac, generate: [rephrase]}\n"


@pytest.fixture
def read(tmp_path: Path) -> Iterator[Read]:
    """Reads a bill's text from a file in a folder with steps of the user's own."""
    own = tmp_path / "own"
    own.mkdir()
    (own / "keep_all.py").write_text(KEEP_ALL, encoding="utf-8")
    (own / "seeded.py").write_text(SEEDED, encoding="utf-8")
    (own / "read_edges.py").write_text(READ_TRIPLES, encoding="utf-8")

    def load(text: str) -> Bill:
        path = tmp_path / "bill.yaml"
        path.write_text(dedent(text), encoding="utf-8")
        return read_bill(path)

    yield load
    for name in [name for name in sys.modules if name.startswith("mashbill_steps_")]:
        del sys.modules[name]


KEEP_ALL = """
from dataclasses import dataclass
import polars as pl
from mashbill.records import Document
from mashbill.step import Filter

@dataclass(frozen=True, kw_only=True)
class KeepAll(Filter[Document]):
    def reasons(self) -> dict[str, pl.Expr]:
        return {"never": pl.lit(False)}
"""
SEEDED = """
from dataclasses import dataclass
from typing import ClassVar
from mashbill.records import Document
from mashbill.step import DatasetStep

@dataclass(frozen=True, kw_only=True)
class Seeded(DatasetStep[Document, Document]):
    seed: int  # required: the bill's own seed fills it

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError("a seed is not below 0")
"""
READ_TRIPLES = """
from dataclasses import dataclass
from typing import ClassVar
from mashbill.records import Triple
from mashbill.step import Source

@dataclass(frozen=True, kw_only=True)
class ReadEdges(Source[Triple]):
    seed: ClassVar[int] = 3
"""


def refused(read: Read, text: str, *messages: str) -> None:
    with pytest.raises(BillError) as caught:
        read(text)
    for message in messages:
        assert message in str(caught.value)


# What is read --------------------------------------------------------------------------------------------------------


def test_the_example_of_the_docstring_is_a_bill(read: Read) -> None:
    assert mashbill.bill.__doc__ is not None
    bill = read(indent(dedent(mashbill.bill.__doc__.split("::\n\n")[1].split("\n\nIt is checked")[0]), ""))
    assert bill.name == "tolvarey"
    assert list(bill.sources) == ["almanac", "general"]
    assert {name: stream.generates for name, stream in bill.streams.items()} == {"raw": False, "entigraph": True}
    assert bill.released == {"entigraph": 1}
    train = bill.section("train")
    assert train is not None
    assert (train.line, train.value["tokens"]) == (14, 40000)
    assert bill.section("steps") is None
    assert set(bill.whole.value) <= set(TOP)


def test_a_small_bill_has_its_defaults(read: Read, tmp_path: Path) -> None:
    bill = read(HEAD + "streams: {raw: {from: almanac}}\n")
    assert (bill.version, bill.description, bill.license, bill.language, bill.seed) == ("1", "", "", "en", 0)
    assert bill.folder == tmp_path
    assert bill.source_path("almanac") == (tmp_path / "corpus").resolve()
    assert bill.streams["raw"].steps == ()
    assert bill.streams["raw"].rejects is None
    assert bill.streams["raw"].writes is Document
    assert bill.engine() is None
    assert bill.released == {"raw": 0.0}, "with nothing that generates, everything is released whole"


def test_only_what_generates_is_released_unless_the_bill_says_more(read: Read) -> None:
    streams = "  raw: {from: almanac}\n"
    assert read(HEAD + GENERATES + streams).released == {"made": 0.0}
    assert read(HEAD + GENERATES + streams + "release: {streams: {raw: 2, made: 1}}\n").released == {
        "raw": 2,
        "made": 1,
    }


def test_neighbouring_filters_are_one_stack_and_others_stay_between(read: Read) -> None:
    bill = read(
        HEAD + "streams: {raw: {from: almanac}}\n"
        "curate: [gopher_quality, gopher_repetition, exact_dedup, refusals, minhash_dedup, {length: {max_chars: 9}}]\n"
    )
    shown = [
        [one.name for one in step.filters] if isinstance(step, FilterStack) else step.name
        for step in bill.streams["raw"].steps
    ]
    assert shown == [
        ["gopher_quality", "gopher_repetition"], "exact_dedup", ["refusals"], "minhash_dedup", ["length"]
    ]  # fmt: skip


def test_a_streams_own_curation_and_policy_stand_in_place_of_the_bills(read: Read) -> None:
    bill = read(
        HEAD + "curate: [exact_dedup]\nrejects: {share: 0.9}\nstreams:\n"
        "  usual: {from: almanac}\n"
        "  none: {from: almanac, curate: }\n"
        "  own: {from: almanac, curate: gopher_quality, rejects: {after: 7}}\n"
    )
    assert [step.name for step in bill.streams["usual"].steps] == ["exact_dedup"]
    assert bill.streams["none"].steps == ()
    (stack,) = bill.streams["own"].steps
    assert isinstance(stack, FilterStack)
    assert stack.label == "gopher_quality"
    assert bill.streams["usual"].rejects == RejectPolicy(share=0.9)
    assert bill.streams["own"].rejects == RejectPolicy(after=7)


def test_the_bills_seed_is_every_steps_unless_its_own_is_given(read: Read) -> None:
    text = HEAD + "seed: 5\nsteps: own\nstreams: {raw: {from: almanac}}\ncurate: [seeded, {seeded: {seed: 9}}]\n"
    assert [getattr(step, "seed", None) for step in read(text).streams["raw"].steps] == [5, 9]
    minhash = read(HEAD + "seed: 5\nstreams: {raw: {from: almanac}}\ncurate: [minhash_dedup, {minhash_dedup: }]\n")
    assert {getattr(step, "seed", 5) for step in minhash.streams["raw"].steps} == {5}
    refused(read, text.replace("seed: 5", "seed: -5"), "bill.yaml:7: curate[0]", "a seed is not below 0")
    refused(read, text.replace("{seed: 9}", "{seed: x}"), "bill.yaml:7: curate[1].seeded.seed", "valid integer")
    refused(read, text.replace("{seed: 9}", "3"), "bill.yaml:7: curate[1].seeded: must be a mapping")


def test_steps_of_the_users_own_are_found_beside_the_bill(read: Read, tmp_path: Path) -> None:
    bill = read(HEAD + "steps: [own]\nstreams: {raw: {from: almanac}}\ncurate: [keep_all, gopher_quality]\n")
    (stack,) = bill.streams["raw"].steps
    assert isinstance(stack, FilterStack)
    assert [one.name for one in stack.filters] == ["keep_all", "gopher_quality"]
    assert bill.folders == (tmp_path / "own",)


def test_a_step_whose_seed_is_the_classs_is_not_given_one(read: Read) -> None:
    bill = read("name: a\nsteps: own\nsources: {kg: {read_edges: {path: a.tsv}}}\nstreams: {raw: {from: kg}}\n")
    assert bill.streams["raw"].writes is Triple


def test_the_engine_takes_its_identity_from_the_bill(read: Read) -> None:
    bill = read(HEAD + GENERATES.replace("{model: m}", "{model: m, revision: r1}"))
    engine = bill.engine()
    assert engine is not None
    assert engine.identity == "openai/m@r1"
    assert type(engine).__name__ == "Openai"


@pytest.mark.parametrize(("written", "version"), [("3", "3"), ("0.2", "0.2"), ("'1.10'", "1.10"), ("beta", "beta")])
def test_a_version_is_text_or_a_number(read: Read, written: str, version: str) -> None:
    assert read(HEAD + f"version: {written}\nstreams: {{raw: {{from: almanac}}}}\n").version == version


# What is refused -----------------------------------------------------------------------------------------------------


def test_a_bill_with_nothing_in_it_is_told_what_a_bill_needs(read: Read) -> None:
    refused(read, "", "bill.yaml: the bill: is empty; a bill needs at least name, sources and streams")
    refused(read, "# later\n", "is empty")
    refused(read, "[name]\n", "bill.yaml:1: the bill: must be a mapping with some of: name, version")


STREAMS = "streams: {raw: {from: almanac}}\n"


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        (HEAD, ["bill.yaml:1: the bill: needs the field 'streams'"]),
        (HEAD + STREAMS + "relase: {}\n", ["bill.yaml:5: relase: unknown field (did you mean release"]),
        (HEAD + "streams: {}\n", ["bill.yaml:4: streams: names no stream"]),
        (HEAD + "streams: \n", ["bill.yaml:4: streams: must be a mapping of names; found None"]),
        (HEAD + "streams:\n  raw: {form: almanac}\n", ["bill.yaml:5: streams.raw.form: unknown field", "mean from?"]),
        (HEAD + "streams:\n  raw: {}\n", ["bill.yaml:5: streams.raw: needs the field 'from'"]),
        (
            HEAD + "streams:\n  raw:\n    from: almanack\n",
            ["bill.yaml:6: streams.raw.from: no source is called 'almanack' (did you mean almanac?); there are: alm"],
        ),
        (HEAD.replace("tolvarey", "a b") + STREAMS, ["bill.yaml:1: name: is the name of a folder", "'a b'"]),
        (HEAD.replace("tolvarey", "''") + STREAMS, ["bill.yaml:1: name: is the name of a folder"]),
        (HEAD.replace("tolvarey", ".") + STREAMS, ["bill.yaml:1: name: is the name of a folder", "not dots alone"]),
        (HEAD.replace("tolvarey", "..") + STREAMS, ["bill.yaml:1: name: is the name of a folder", "found '..'"]),
        (
            HEAD.replace("path: corpus", "path: corpus, part_rows: 0") + STREAMS,
            ["bill.yaml:", "read_documents: part_rows is 0"],
        ),
        (HEAD.replace("tolvarey", "7") + STREAMS, ["bill.yaml:1: name: input should be a valid string; found 7"]),
        (HEAD + "seed: x\n" + STREAMS, ["bill.yaml:4: seed: input should be a valid integer"]),
        (HEAD + "version: {a: 1}\n" + STREAMS, ["bill.yaml:4: version: must be text or a number"]),
        (HEAD + "version: true\n" + STREAMS, ["bill.yaml:4: version: must be text or a number"]),
        (HEAD + "version:\n" + STREAMS, ["bill.yaml:4: version: must be text or a number", "found None"]),
        (HEAD + "steps: nowhere\n" + STREAMS, ["bill.yaml:4: steps: ", "nowhere: no such folder of steps"]),
        (HEAD + "steps: [own, 3]\n" + STREAMS, ["bill.yaml:4: steps[1]: input should be a valid string"]),
        (
            HEAD + STREAMS + "curate:\n  - exact_dedup\n  - gopher_qualty\n",
            ["bill.yaml:7: curate[1]: no step is called 'gopher_qualty' (did you mean gopher_quality?)"],
        ),
        (
            HEAD + STREAMS + "curate:\n  - gopher_quality:\n      min_word: 3\n",
            ["bill.yaml:7: curate[0].gopher_quality.min_word: unknown field (did you mean min_words"],
        ),
        (
            HEAD + STREAMS + "curate: [read_documents: {path: x}]\n",
            ["bill.yaml:5: curate[0]", "name it under `sources`"],
        ),
        (
            HEAD.replace("read_documents: {path: corpus}", "exact_dedup: ") + STREAMS,
            [":3: sources.almanac: exact_dedup"],
        ),
        (HEAD + "sources2: {}\n" + STREAMS, ["bill.yaml:4: sources2: unknown field (did you mean sources?)"]),
        (HEAD + STREAMS + "engine: 5\n", ["bill.yaml:5: engine: must be a name, or one name with its fields"]),
        (HEAD + STREAMS + "engine: {opneai: {model: m}}\n", ["no engine is called 'opneai' (did you mean openai?)"]),
        (HEAD + STREAMS + "engine: {openai: {modle: m}}\n", ["bill.yaml:5: engine.openai.modle", "mean model?"]),
        (HEAD + STREAMS + "engine: openai\n", ["bill.yaml:5: engine: needs the field 'model'"]),
        (HEAD + STREAMS + "engine: {openai: {model: 3}}\n", ["engine.openai.model: input should be a valid string"]),
        (HEAD + GENERATES.partition("\n")[2], ["bill.yaml:5: streams.made: generates, so the bill needs an `engine`"]),
        (HEAD + STREAMS + "train: {tokens: 1}\n", ["bill.yaml:5: train: needs a `student` to train"]),
        (HEAD + STREAMS + "rejects: {share: 50}\n", ["bill.yaml:5: rejects.share: is a share of the attempts", "50"]),
        (
            HEAD + "streams:\n  raw:\n    from: almanac\n    rejects:\n      share: -1\n",
            ["bill.yaml:8: streams.raw.rejects.share: is a share of the attempts, from 0 to 1; found -1"],
        ),
        (HEAD + STREAMS + "rejects: {shares: 1}\n", ["rejects.shares: unknown field (did you mean share?)"]),
        (
            HEAD + STREAMS + "release:\n  streams:\n    rwa: 1\n",
            ["bill.yaml:7: release.streams.rwa: no stream is called 'rwa' (did you mean raw?); there are: raw"],
        ),
        (
            HEAD + STREAMS + "release: {streams: {raw: x}}\n",
            ["bill.yaml:5: release.streams.raw: input should be a valid"],
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_place_and_the_right_name(read: Read, text: str, messages: list[str]) -> None:
    refused(read, text, *messages)


@pytest.mark.parametrize("engine", ["openai: {model: m, run: {timeout: 3}}", "transformers: {run: {threads: 2}}"])
def test_how_an_engine_runs_is_not_the_bills_to_say(read: Read, engine: str) -> None:
    refused(read, HEAD + STREAMS + f"engine: {{{engine}}}\n", "bill.yaml:5: engine.", ".run: unknown field")


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("streams: {raw: 0}", "the share of raw is 0; it must be above 0: leave a stream out instead"),
        ("streams: {raw: -1}", "the share of raw is -1"),
        ("streams: {raw: .nan}", "the share of raw is nan"),
        ("streams: {raw: .inf}", "the share of raw is inf"),
        ("splits: {train: 0.9}", "train is what the other splits leave; give only those"),
        ("splits: {test: 1.0}", "the split test is 1; it must lie between 0 and 1"),
        ("splits: {test: .nan}", "the split test is nan"),
        ("splits: {test: 0}", "the split test is 0"),
        ("splits: {a: 0.5, b: 0.5}", "the splits take 1 together; leave something for train"),
        ("splits: {held-out: 0.1}", "a split cannot be called 'held-out'; use letters, digits and _"),
        ("splits: {../x: 0.1}", "a split cannot be called '../x'"),
        ("splits: {all: 0.1}", "a split cannot be called 'all'"),
    ],
)
def test_shares_and_splits_that_cannot_be_met_are_refused(read: Read, said: str, message: str) -> None:
    refused(read, HEAD + STREAMS + f"release: {{{said}}}\n", "bill.yaml:5: release", message)


def test_splits_with_plain_names_are_taken() -> None:
    assert Release(splits={"validation": 0.1, "test_2": 0.2, "a.b": 0.1}).splits["a.b"] == 0.1


MIXED = """\
name: mixed
steps: own
sources:
  almanac: {read_documents: {path: corpus}}
  graph: {read_edges: {path: graph.tsv}}
"""


def test_steps_that_do_not_fit_are_named_both(read: Read) -> None:
    refused(
        read,
        MIXED + "streams:\n  raw: {from: almanac}\n  odd: {from: graph, curate: [gopher_quality]}\n",
        "bill.yaml:8: streams.odd: gopher_quality reads the column 'text', but read_edges gives Triple, whose",
    )


def test_a_release_of_two_types_of_record_is_refused_before_any_work(read: Read) -> None:
    streams = "streams:\n  raw: {from: almanac}\n  edges: {from: graph}\n"
    refused(
        read,
        MIXED + streams,
        "bill.yaml:8: streams.edges: gives Triple but raw gives Document: a release holds one type of record",
        "`release.streams`",
    )
    assert read(MIXED + streams + "release: {streams: {edges: 1}}\n").released == {"edges": 1}


def test_a_users_step_that_is_no_python_is_named_with_its_line(read: Read, tmp_path: Path) -> None:
    (tmp_path / "own" / "broken.py").write_text("class Broken(:\n", encoding="utf-8")
    refused(
        read, HEAD + "steps: own\n" + STREAMS, "bill.yaml:3: sources.almanac", "broken.py:1: cannot be read as Python"
    )


TWO = """\
name: two
steps: own
sources:
  almanac: {read_documents: {path: corpus}}
  annals: {read_documents: {path: annals}}
  graph: {read_edges: {path: graph.tsv}}
engine: {openai: {model: m}}
"""


def test_a_stream_takes_several_sources_and_streams_above_it(read: Read) -> None:
    bill = read(
        TWO + "streams:\n  made: {from: almanac, generate: [rephrase]}\n  both: {from: [annals, made]}\n"
        "  more: {from: both, curate: [gopher_quality]}\n"
    )
    assert [stream.origins for stream in bill.streams.values()] == [("almanac",), ("annals", "made"), ("both",)]
    assert bill.streams["more"].writes is Document
    assert bill.streams["more"].generates, "a model made rows of what it takes"
    assert not bill.streams["more"].asks
    assert bill.released == {"more": 0.0}, "what others take is not released by itself"


@pytest.mark.parametrize(
    ("origin", "message"),
    [
        ("[annals, almanack]", "no source is called 'almanack' (did you mean almanac?)"),
        ("[annals, later]", "no source is called 'later'"),
        ("[annals, both]", "no source is called 'both'"),
        ("[annals, annals]", "'annals' is named twice; its rows are taken once"),
        ("[annals, graph]", "graph gives Triple but annals gives Document: rows that are taken together are of one"),
        ("[]", "names nothing; give a source, or a list of sources"),
    ],
)
def test_what_cannot_be_taken_together_is_refused_with_its_line(read: Read, origin: str, message: str) -> None:
    streams = f"streams:\n  both:\n    from: {origin}\n  later: {{from: annals}}\n"
    refused(read, TWO + streams, "bill.yaml:10: streams.both.from", message)


def test_a_stream_that_is_misspelt_is_answered_with_those_above(read: Read) -> None:
    refused(
        read,
        TWO + "streams:\n  made: {from: annals}\n  both: {from: mede}\n",
        "no source is called 'mede' (did you mean made?); there are: almanac, annals, graph; and streams above this "
        "one: made",
    )
