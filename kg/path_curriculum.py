"""A curriculum out of a graph: paths drawn so that all of it is asked about, until enough items are accepted.

Triples and a generator of items -> so many items, spread over the graph::

    path_curriculum: {count: 24000, hops: 3, generate: {kg_path: {grading: {graders: [first, second]}}}}

    {"question": "…", "answer": "Ora Venn", "path": [three edges], "parents": [the triples' ids], …}

Algorithm 1 of arXiv 2507.13966: draw a source with chance in proportion to 1 / (f + 1), a length, a walk; write an
item; if it is accepted, count every node of the path. What is drawn next depends on what was accepted, so this is a
step over the whole graph and not one over paths. `batch` paths are in work at once, counted for the time being when
they are drawn; those whose item is rejected are taken back. With ``batch: 1`` it is the paper's loop to the letter.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from kg.facts import Facts
from kg.held_out import HeldOut, path_key
from kg.path_report import curriculum_report
from kg.path_source import sampler_of
from kg.triple_graph import triple_graph
from kg.truth import Truth
from mashbill.ask import Ask
from mashbill.errors import BadReply
from mashbill.generator_run import reject_of
from mashbill.qa_text import option_key, spoken
from mashbill.records import QA, Path, Reject, Triple, to_table
from mashbill.step import DatasetGenerator, Generator, PartOutput, Parts, settle
from mashbill.store import Stored

OPEN = HeldOut()


@dataclass(frozen=True, kw_only=True)
class PathCurriculum(DatasetGenerator[Triple, QA]):
    """Draws paths evenly from a graph and makes items of them until enough are accepted."""

    version = 2

    generate: Generator[Path, QA]
    """What makes an item of a path, e.g. ``{kg_path: {stem: plain}}``."""
    count: int
    """Items wanted. The paper's largest set has 24,000."""
    batch: int = 8
    """Paths in work at once, B. More is faster, and draws further ahead of what is known of the last ones."""
    hops: int = 3
    """The longest path; the paper trains on 1 to 3 and keeps 4 and 5 for evaluation."""
    hop_weights: tuple[float, ...] = ()
    """A weight for each length; empty: all alike. ``[0, 0, 1]`` gives three hops alone."""
    eps: float = 1.0
    exclude: tuple[str, ...] = ()
    """Relations that are never walked."""
    exclude_taxonomic: bool = True
    """Whether relations that sort things into kinds (``isa``) are not walked either."""
    way: Literal["both", "forwards"] = "both"
    """``both``: edges are walked backwards too, and then said by their inverse label."""
    inverses: Mapping[str, str] = field(default_factory=dict)
    """Relation -> how it reads from its tail to its head; others read ``inverse of …``."""
    held_out: HeldOut = OPEN
    """What is kept for evaluation; give `bench_paths` the same."""
    unique: bool = True
    """Whether a path that has an accepted item, walked either way, is not asked about again."""
    give_up: int = 200
    """Ends when so many paths one after another gave no item: on a narrow graph a count of all failures would end it
    too early."""
    part_rows: int = 500
    """Items in a stored part."""
    seed: int = 42

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing."""
        for name in ("count", "batch", "give_up", "part_rows"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")

    def engines(self) -> tuple[str, ...]:
        """Those of the generator it runs."""
        return tuple(self.generate.engines())

    async def make(self, parts: Parts, ask: Ask) -> AsyncIterator[PartOutput]:
        """Parts of accepted items, with the rejects on the way to them."""
        whole = triple_graph(parts, self.inverses)
        sampler, truth = sampler_of(self, whole), Truth(Facts(whole.graph))
        rows, rejects = list[QA](), list[Reject]()
        seen, accepted, failures = set[Any](), 0, 0
        while accepted < self.count and failures < self.give_up and not ask.over_budget:
            # The last ones are not drawn further ahead than they are wanted, or paid items would be over.
            paths = sampler.batch(min(self.batch, self.count - accepted))
            asked = await settle((self._items(path, seen, truth, ask) for path in paths), apart=True)
            for path, outcome in zip(paths, asked, strict=True):
                outcomes = [outcome] if isinstance(outcome, BadReply) else outcome
                items = [_rooted(one, path) for one in outcomes if isinstance(one, QA)]
                rejects += [reject_of(one, path, self.name) for one in outcomes if isinstance(one, BadReply)]
                if self.unique and items and path_key(path.edges) in seen:  # two of one batch
                    rejects.append(reject_of(_repeated(), path, self.name))
                    items = []
                if not items:
                    sampler.release(path)
                    failures += 1
                    continue
                sampler.commit(path)
                seen.add(path_key(path.edges))
                rows += items
                accepted, failures = accepted + len(items), 0
            if len(rows) >= self.part_rows:
                yield _output(rows, rejects)
                rows, rejects = [], []
        if rows or rejects:
            yield _output(rows, rejects)

    def report(self, source: Stored, made: Stored) -> dict[str, Any]:
        """Whether it came to its count, and what the items cover, for the manifest."""
        return curriculum_report(source, made, self.count, self.give_up)

    async def _items(self, path: Path, seen: set[Any], truth: Truth, ask: Ask) -> list[QA | BadReply]:
        if not self.held_out.keeps_path(path.edges):
            raise BadReply("held_out_path", "the path is kept for evaluation")
        if self.unique and path_key(path.edges) in seen:
            raise _repeated()
        made: Iterable[QA | BadReply] = await self.generate.make(path, ask.of(path.id))
        outcomes = [_checked(one, path, truth) if isinstance(one, QA) else one for one in made]
        return outcomes or [BadReply("nothing_made", "the generator returned no row")]


def _repeated() -> BadReply:
    return BadReply("repeated_path", "an item of this path, walked one way or the other, was accepted before")


def _checked(item: QA, path: Path, truth: Truth) -> QA | BadReply:
    """The item, unless a wrong option of it is right: another node that the same relations lead to.

    Who writes an item sees one path and cannot know of the others; the graph does.
    """
    right = {option_key(spoken(truth.facts.name(node))) for node in truth.ends_of(path.edges)}
    true = [one for one in item.options if one != item.answer and option_key(one) in right]
    if not true or option_key(item.answer) not in right:
        return item
    said = f"{true[0]!r} is called wrong, but the same steps lead to it in the graph"
    return BadReply("wrong_option_true", said, text=item.question, asks=item.made.asks, verdicts=item.verdicts)


def _rooted(item: QA, path: Path) -> QA:
    """The item as a child of the triples on its path: the path itself is stored nowhere but in the item."""
    return replace(item, parents=path.parents).identified()


def _output(rows: list[QA], rejects: list[Reject]) -> PartOutput:
    return PartOutput(kept=to_table(rows, QA), rejects=to_table(rejects, Reject))
