"""The card: numbers from the manifests alone, prose that breaks nothing, and a header the Hub takes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from mashbill.card import NOT_MEASURED, render_card, table
from mashbill.counts import Counts
from mashbill.records import RECORD_TYPES, schema_of
from mashbill.release_manifest import ReleaseManifest, SplitCounts, StepCounts, StreamCounts
from tests.mashbill.release_rows import plan_of, released, rows_of_kind, texts
from tests.support.kernel import documents, store


@pytest.fixture
def manifest() -> ReleaseManifest:
    """Two streams of one source, every number of its own."""
    read = StepCounts(
        step="read_documents",
        fingerprint="f0",
        engine="",
        counts=Counts(read=1203, attempts=1203, kept=1200, rejected={"empty": 3}),
        identity={"steps": [{"name": "read_documents", "version": 1, "fields": {"glob": "**/*"}}], "files": {}},
    )
    made = StepCounts(
        step="rephrase",
        fingerprint="f1",
        engine="scripted/x",
        counts=Counts(read=1200, attempts=3500, kept=3000, rejected={"truncated": 480, "unparsable": 20}),
        identity={
            "steps": [
                {
                    "name": "rephrase",
                    "version": 2,
                    "fields": {"style": "a|b <think> *c* $d", "prompt": "long " * 90, "tick": "`x`", "line": "a\nb"},
                }
            ]
        },
    )
    return ReleaseManifest(
        name="tolvarey",
        version="1.2",
        description="Of Tolvarey.",
        license="Apache-2.0",
        language="en",
        kind="Document",
        fingerprint="ab" * 16,
        seed=41,
        streams={
            "raw": StreamCounts(steps=(read,), share_asked=0.5, released=400, text_bytes=50_001, over_share=800),
            "made": StreamCounts(steps=(read, made), share_asked=0, released=3000, text_bytes=90_000, over_share=0),
        },
        splits={
            "train": SplitCounts(rows=3060, sources=1080, text_bytes=126_001, shards=()),
            "validation": SplitCounts(rows=340, sources=120, text_bytes=14_000, shards=()),
            "test": SplitCounts(rows=0, sources=0, text_bytes=0, shards=()),
        },
    )


def header_of(card: str) -> dict[str, Any]:
    assert card.startswith("---\n")
    header = yaml.safe_load(card.split("---\n")[1])
    assert isinstance(header, dict)
    return header


def rows_in(card: str, head: str) -> list[dict[str, str]]:
    """The rows of the table whose first column has this name; a pipe that is escaped ends no cell."""
    lines = card.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| {head} |"))
    stop = next((i for i in range(start, len(lines)) if not lines[i].startswith("|")), len(lines))
    cells = [[cell.strip() for cell in cells_of(line)] for line in lines[start:stop]]
    assert len({len(row) for row in cells}) == 1, "every row has as many cells as the head"
    return [dict(zip(cells[0], row, strict=True)) for row in cells[2:]]


def cells_of(line: str) -> list[str]:
    """Cells as the Hub's Markdown reads them: a backslash takes the meaning of what follows it."""
    return [re.sub(r"\\(.)", r"\1", cell) for cell in re.findall(r"((?:\\.|[^|\\])+)\|", line[1:])]


def number(text: str) -> int:
    return int(text.replace(",", ""))


# Numbers -------------------------------------------------------------------------------------------------------------


def test_every_number_is_the_manifests_and_adds_up(manifest: ReleaseManifest) -> None:
    card = render_card(manifest)
    steps = rows_in(card, "stream | step")
    assert [(row["stream"], row["step"]) for row in steps] == [
        ("raw", "read_documents"), ("made", "read_documents"), ("made", "rephrase")
    ]  # fmt: skip
    for row in steps:
        assert number(row["tried"]) == number(row["kept"]) + number(row["rejected"])
        assert sum(map(number, re.findall(r"[a-z_]+ ([\d,]+)", row["reasons"]))) == number(row["rejected"])
    assert steps[2]["reasons"] == "truncated 480, unparsable 20"
    assert [steps[2][name] for name in ("read", "tried", "kept", "rejected")] == ["1,200", "3,500", "3,000", "500"]
    streams = {row["stream"]: row for row in rows_in(card, "stream | curated rows")}
    for name, row in streams.items():
        assert number(row["curated rows"]) == number(row["over share"]) + number(row["released"])
        assert number(row["curated rows"]) == manifest.streams[name].steps[-1].counts.kept
    assert (streams["raw"]["share asked"], streams["made"]["share asked"]) == ("0.5", "whole")
    splits = rows_in(card, "split")
    assert [row["split"] for row in splits] == ["train", "validation", "test"]
    for of_streams, of_splits in (("released", "rows"), ("text bytes", "text bytes")):
        released_sum = sum(number(row[of_streams]) for row in streams.values())
        assert released_sum == sum(number(row[of_splits]) for row in splits)
    assert "3,400 rows of type Document from 1,200 source documents, written by `scripted/x`." in card
    assert f"Release fingerprint `{'ab' * 16}`, seed 41." in card


@pytest.mark.parametrize("kind", sorted(RECORD_TYPES))
def test_a_card_of_each_record_type_names_its_columns(tmp_path: Path, kind: str) -> None:
    made = released(tmp_path, {"made": store(tmp_path, rows_of_kind(kind, 12))})
    card = render_card(made.manifest)
    columns = {row["column"].strip("`"): row["type"].strip("`") for row in rows_in(card, "column")}
    assert columns == {**{one.name: str(one.type) for one in schema_of(RECORD_TYPES[kind])}, "stream": "string"}
    assert (
        f"12 rows of type {kind} from 12 source documents, written by no model (the rows are the source's own)" in card
    )
    assert header_of(card)["task_categories"]
    assert render_card(ReleaseManifest.read(made.folder)) == card


def test_a_real_release_adds_up_on_its_card(tmp_path: Path) -> None:
    streams = {
        "a": store(tmp_path, texts([10] * 30, sources=9), step="a"),
        "b": store(tmp_path, texts([7] * 11, sources=9, name="b"), step="b"),
    }
    made = released(tmp_path, streams, plan_of({"a": 1, "b": 2}, {"validation": 0.2, "test": 0.1}))
    card = render_card(made.manifest)
    rows = rows_in(card, "stream | curated rows")
    assert sum(number(row["released"]) for row in rows) == len(made.all_rows)
    assert {row["split"]: number(row["rows"]) for row in rows_in(card, "split")} == {
        name: len(made.rows(name)) for name in made.manifest.splits
    }


# Prose ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "prose",
    [
        "Costs $5, $name and ${fingerprint}; $$ too.",
        "Title: with colons: and — “unicode” – naïve 漢字 🧂",
        "---\nlicense: evil\n---",
        "a | b\n\n* a list\n",
    ],
)
def test_prose_stands_as_it_was_written(manifest: ReleaseManifest, prose: str) -> None:
    card = render_card(manifest.model_copy(update={"description": prose}), benefit=f"Helped. {prose}")
    assert card.count(prose) == 2
    assert header_of(card)["license"] == "apache-2.0"
    assert rows_in(card, "split")


def test_without_prose_the_card_says_so_much_itself(manifest: ReleaseManifest) -> None:
    card = render_card(manifest.model_copy(update={"description": ""}))
    assert "A dataset made by the bill `tolvarey`." in card
    assert NOT_MEASURED in card
    assert "$" not in card.replace("$d", "")


def test_fields_are_code_whatever_they_hold_and_long_ones_are_left_out(manifest: ReleaseManifest) -> None:
    card = render_card(manifest)
    assert "* **made**: read_documents → rephrase" in card
    line = next(line for line in card.splitlines() if line.startswith("  * `rephrase` version 2: "))
    assert "`style='a|b <think> *c* $d'`" in line
    assert "`` tick='`x`' ``" in line
    assert r"`line='a\nb'`" in line
    assert "long" not in line
    bare = (
        manifest.streams["made"]
        .steps[1]
        .model_copy(update={"identity": {"steps": [{"name": "refusals", "version": 1, "fields": {}}]}})
    )
    stream = manifest.streams["made"].model_copy(update={"steps": (bare,)})
    assert "  * `refusals` version 1\n" in render_card(manifest.model_copy(update={"streams": {"made": stream}}))


@pytest.mark.parametrize("reason", ["a|b", "a\nb", "a\\|b", "a\\\\|b|", "x\r\ny | z\u2028w"])
def test_what_stands_in_a_cell_stays_in_it(manifest: ReleaseManifest, reason: str) -> None:
    read = manifest.streams["raw"].steps[0]
    odd = read.model_copy(update={"counts": Counts(read=1, attempts=1, kept=0, rejected={reason: 1})})
    stream = manifest.streams["raw"].model_copy(update={"steps": (odd,)})
    card = render_card(manifest.model_copy(update={"streams": {"raw": stream}}))
    (row,) = rows_in(card, "stream | step")
    assert row["reasons"] == " ".join(reason.splitlines()) + " 1"


def test_tables_of_any_values() -> None:
    assert table(["a", "b"], [["x", 0.5], ["y", 2]]).splitlines()[1:] == [
        "| --- | ---: |",
        "| x | 0.500 |",
        "| y | 2 |",
    ]
    assert table(["a"], []) == "| a |\n| --- |"


# The header ----------------------------------------------------------------------------------------------------------


def test_the_header_is_what_the_hub_reads(manifest: ReleaseManifest) -> None:
    hub = pytest.importorskip("huggingface_hub")
    card = hub.DatasetCard(render_card(manifest))
    said = card.data.to_dict()
    assert said == {
        "pretty_name": "tolvarey",
        "language": ["en"],
        "license": "apache-2.0",
        "size_categories": ["1K<n<10K"],
        "task_categories": ["text-generation"],
        "tags": ["mashbill", "synthetic"],
        "configs": [
            {
                "config_name": "default",
                "data_files": [
                    {"split": "train", "path": "data/train-*.parquet"},
                    {"split": "validation", "path": "data/validation-*.parquet"},
                ],
            }
        ],
    }, "a split without rows has no files"
    assert hub.DatasetCardData(**said).to_dict() == said
    assert card.text.lstrip().startswith("# tolvarey")


def test_the_header_opens_the_release_with_its_splits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    made = released(tmp_path, {"a": store(tmp_path, documents(30))}, plan_of(splits={"validation": 0.1, "test_2": 0.1}))
    (made.folder / "README.md").write_text(render_card(made.manifest), encoding="utf-8")
    datasets.disable_progress_bars()
    opened = datasets.load_dataset(str(made.folder))
    datasets.enable_progress_bars()
    assert {name: split.num_rows for name, split in opened.items()} == {"train": 24, "test_2": 3, "validation": 3}


@pytest.mark.parametrize(
    ("license_", "said"),
    [
        ("Apache-2.0", {"license": "apache-2.0"}),
        ("CC-BY-SA-4.0", {"license": "cc-by-sa-4.0"}),
        ("", {}),
        ("Salt Guild's own, 2.1", {"license": "other", "license_name": "salt-guild-s-own-2.1"}),
        ("漢字", {"license": "other", "license_name": "other"}),
    ],
)
def test_a_licence_the_hub_does_not_know_is_other_with_its_name(
    manifest: ReleaseManifest, license_: str, said: dict[str, str]
) -> None:
    header = header_of(render_card(manifest.model_copy(update={"license": license_})))
    assert {name: value for name, value in header.items() if name.startswith("license")} == said


@pytest.mark.parametrize(("language", "said"), [("no", ["no"]), ("de", ["de"]), ("", None)])
def test_a_language_is_text_and_none_is_no_language(manifest: ReleaseManifest, language: str, said: Any) -> None:
    assert header_of(render_card(manifest.model_copy(update={"language": language}))).get("language") == said


@pytest.mark.parametrize(
    ("rows", "size"),
    [
        (999, "n<1K"),
        (1_000, "1K<n<10K"),
        (9_999_999, "1M<n<10M"),
        (10_000_000, "10M<n<100M"),
        (999_999_999, "100M<n<1B"),
        (10**10, "10B<n<100B"),
    ],
)
def test_sizes_are_the_hubs_classes(manifest: ReleaseManifest, rows: int, size: str) -> None:
    splits = {"train": SplitCounts(rows=rows, sources=1, text_bytes=1, shards=())}
    assert header_of(render_card(manifest.model_copy(update={"splits": splits})))["size_categories"] == [size]


def test_rows_that_no_model_wrote_are_not_called_synthetic(manifest: ReleaseManifest) -> None:
    only = manifest.model_copy(update={"streams": {"raw": manifest.streams["raw"]}})
    assert header_of(render_card(only))["tags"] == ["mashbill"]


def test_what_a_step_says_of_itself_stands_under_the_counts_once(manifest: ReleaseManifest) -> None:
    said = manifest.streams["raw"].steps[0].model_copy(update={"said": ("compared with 3 items of a|b.jsonl",)})
    streams = {name: one.model_copy(update={"steps": (said, *one.steps[1:])}) for name, one in manifest.streams.items()}
    card = render_card(manifest.model_copy(update={"streams": streams}))
    counts = card.split("## Counts")[1].split("## Splits")[0]
    assert "* `read_documents`, **raw**, **made**: compared with 3 items of a\\|b.jsonl\n" in counts
    assert counts.count("compared with") == 1
    assert "compared with" not in render_card(manifest)
