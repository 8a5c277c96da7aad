"""New sets of constraints for a seed prompt, out of what instructions of its kind carry: TCIA's search.

A database of tasks, and a file with the seed "Turn {notes} into minutes, in English." -> so many rows whose text is
still to be written::

    {"text": "", "task_type": "meeting minutes", "base_query": "Turn {notes} into minutes.", "hop": 2,
     "constraints": [{"category": "numerical", "text": "in at most five bullets"},
                     {"category": "input_placeholder", "text": "{notes}"}],
     "operations": [{"name": "add", "constraint": "in at most five bullets", "source_task": "6f1c…"},
                    {"name": "remove", "constraint": "in English"}], "parents": ["6f1c…"], …}

TCIA (arXiv 2508.20374) keeps task type and base query as they are and searches the constraints alone, breadth first:
`synth.constraint_search` has the algorithm, `synth.task_database` the pool of similar tasks. A row's operations lead
from its seed to its constraints; its parents are the rows of the database that they were taken from, and it goes back
to its seed, so that splits keep what comes of one seed together.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from types import MappingProxyType
from typing import Any, Literal

from mashbill.ask import Ask
from mashbill.embedding import VectorEmbedder, load_embedder
from mashbill.errors import BadReply
from mashbill.fingerprint import seed_of
from mashbill.generator_run import reject_of
from mashbill.records import DatabaseTask, Instruction, Made, Reject, Score, to_table
from mashbill.step import DatasetGenerator, Generator, PartOutput, Parts, settle
from mashbill.store import Stored
from synth.constraint_search import Found, Plan, sampled, search
from synth.generators.decompose import Decompose
from synth.search_report import noted, search_report
from synth.search_seeds import read_seeds, seeds_digest
from synth.task_database import Pool, TypeIndex, pools

ONE_TASK = Decompose(one_task=True)
NOTHING: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class _Apart:
    """A seed that was taken apart, and what was named in it that is not there."""

    seed: Instruction
    lost: tuple[BadReply, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ConstraintSearch(DatasetGenerator[DatabaseTask, Instruction]):
    """Searches the constraints of a seed prompt, breadth first, with those of similar tasks of a database."""

    seeds: str = field(metadata={"identity": False, "file": True})
    """The seed prompts, relative to the bill: JSON lines or Parquet, or the folder of a stored step of instructions."""
    seeds_digest: str = ""
    """What they are: set by itself, since what a file holds is identity and where it lies is not."""
    states: int = 2700
    """The search ends when its queue holds so many sets; K of the paper."""
    repeats: int = 10
    """How often each operation is tried on a set; m of the paper."""
    count: int = 2000
    """Sets that are drawn from all that were found, for each seed; k of the paper."""
    sample: Literal["uniform", "stratified"] = "uniform"
    """``uniform``: from all sets, as the paper does; ``stratified``: as many of each hop."""
    unique: bool = True
    """Whether a set is found once. False is the pseudo-code to the letter: sets repeat, and a constraint that is there,
    nearly there or contradicted may be added."""
    pool: int = 20
    """Tasks most like the seed that constraints are taken from. The pseudo-code has 1: the search then draws from one
    task's handful, since its base query never changes."""
    least_pool: int = 5
    """Where the seed's kind of task has fewer, the next nearest kinds are searched too."""
    least_type: float = 0.3
    """Cosine of the seed's task type with the nearest one of the database; below it nothing there is of its kind."""
    near: float = 0.9
    """Cosine from which two constraints are nearly the same."""
    decompose: Generator[Instruction, Instruction] = ONE_TASK
    """What takes a seed prompt apart that has no `base_query`."""
    seed: int = 42

    def __post_init__(self) -> None:
        """Refuse numbers out of their range, and look at the seeds."""
        for name in ("states", "repeats", "count", "pool", "least_pool"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        if not 0 < self.near <= 1 or not -1 <= self.least_type <= 1:
            raise ValueError(
                f"near is {self.near:g} and least_type {self.least_type:g}; they are cosines, near above 0, at most 1"
            )
        object.__setattr__(self, "seeds_digest", seeds_digest(Path(self.seeds)))

    def engines(self) -> Sequence[str]:
        """Those of the step that takes seeds apart."""
        return tuple(self.decompose.engines())

    async def make(self, parts: Parts, ask: Ask) -> AsyncIterator[PartOutput]:
        """A part for each seed prompt."""
        read = read_seeds(Path(self.seeds))
        taken = await settle((self._apart(seed, ask) for seed in read), apart=True)
        seeds = [one.seed for one in taken if isinstance(one, _Apart)]
        index = TypeIndex.of(parts)
        embedder = load_embedder(index.embedder)
        found = iter(pools(parts, seeds, size=self.pool, least=self.least_pool) if seeds else [])
        for seed, one in zip(read, taken, strict=True):
            if isinstance(one, BadReply):
                yield self._output([], [reject_of(one, seed, self.name)])
                continue
            pool = next(found)
            lost = [reject_of(bad, seed, self.name) for bad in one.lost]
            if bad := self._unfit(one.seed, pool):
                yield self._output([], [*lost, reject_of(bad, one.seed, self.name)])
            else:
                yield self._searched(one.seed, pool, embedder, lost)

    def report(self, source: Stored, made: Stored) -> dict[str, Any]:
        """For the manifest: sets by hop, how many were new, which operations were accepted, the pool's size."""
        del source
        return search_report(made)

    async def _apart(self, seed: Instruction, ask: Ask) -> _Apart:
        if seed.base_query:
            return _Apart(seed)
        made = [*await self.decompose.make(seed, ask.of(seed.id))]
        good = [one for one in made if isinstance(one, Instruction)]
        lost = tuple(one for one in made if isinstance(one, BadReply))
        if len(good) != 1:
            raise next(iter(lost), BadReply("several_tasks", f"{len(good)} tasks; a seed prompt must be exactly one"))
        return _Apart(good[0], lost)

    def _unfit(self, seed: Instruction, pool: Pool) -> BadReply | None:
        if pool.type_similarity < self.least_type:
            found = f"the nearest is at a cosine of {pool.type_similarity:.2f}, {self.least_type:g} wanted"
            return BadReply("no_like_type", f"the database has no task type like {seed.task_type!r}: {found}")
        if not pool.tasks:
            return BadReply("no_similar_task", f"the database has no other task of the kind {pool.clusters[0]!r}")
        return None

    def _searched(self, seed: Instruction, pool: Pool, embedder: VectorEmbedder, rejects: list[Reject]) -> PartOutput:
        plan = Plan(states=self.states, repeats=self.repeats, near=self.near, unique=self.unique)
        number = seed_of(self.seed, self.name, seed.id)
        found = search(seed.constraints, pool.tasks, plan, embedder, Random(number))
        chosen = sampled(found, self.count, self.sample, Random(seed_of(number, "sample")))
        rows, seen = list[Instruction](), dict[tuple[int, ...], str]()
        for at in chosen:
            row, places = self._row(seed, pool, found, at), found.states[at].places
            if places in seen:  # without `unique` alone
                again = BadReply("repeated_set", f"the same set of constraints as {seen[places]}")
                rejects.append(replace(reject_of(again, row, self.name), kept_id=seen[places]))
            else:
                seen[places] = row.id
                rows.append(row)
        if not rows:
            nothing = BadReply("nothing_found", "no operation gave a new set: the pool has nothing the seed lacks")
            rejects.append(reject_of(nothing, seed, self.name))
        return self._output(rows, rejects, noted(found))

    @staticmethod
    def _output(
        rows: Sequence[Instruction], rejects: Sequence[Reject], counts: Mapping[str, int] = NOTHING
    ) -> PartOutput:
        return PartOutput(kept=to_table(rows, Instruction), rejects=to_table(rejects, Reject), noted=counts)

    def _row(self, seed: Instruction, pool: Pool, found: Found, at: int) -> Instruction:
        operations = found.operations(at)
        offered = {one.text for task in pool.tasks for one in task.constraints}
        measured = {
            "pool_tasks": len(pool.tasks),
            "pool_constraints": len(offered),
            "pool_clusters": len(pool.clusters),
            "type_similarity": pool.type_similarity,
        }
        return seed.child(
            Instruction,
            parents=tuple(dict.fromkeys(one.source_task for one in operations if one.source_task)),
            text="",
            task_type=seed.task_type,
            base_query=seed.base_query,
            constraints=found.constraints(at),
            operations=operations,
            hop=found.states[at].hop,
            task_cluster=pool.clusters[0],
            made=Made(step=self.name),
            scores=tuple(Score(name=name, value=float(value)) for name, value in measured.items()),
        )
