"""The sampler of a step that draws paths to make items of them: its fields, the graph, and what is held out of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

from kg.held_out import HeldOut
from kg.triple_graph import TripleGraph

if TYPE_CHECKING:
    from kg.sample import PathSampler


class DrawsPaths(Protocol):
    """The fields that `path_curriculum` and `path_draft` have in common; what each is stands at `PathCurriculum`."""

    @property
    def hops(self) -> int: ...  # noqa: D102
    @property
    def hop_weights(self) -> tuple[float, ...]: ...  # noqa: D102
    @property
    def eps(self) -> float: ...  # noqa: D102
    @property
    def exclude(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def exclude_taxonomic(self) -> bool: ...  # noqa: D102
    @property
    def way(self) -> Literal["both", "forwards"]: ...  # noqa: D102
    @property
    def held_out(self) -> HeldOut: ...  # noqa: D102
    @property
    def seed(self) -> int: ...  # noqa: D102


def sampler_of(step: DrawsPaths, whole: TripleGraph) -> PathSampler:
    """A sampler over what a step may train on; its paths carry the ids of their triples."""
    from kg.sample import PathSampler

    return PathSampler(
        graph=step.held_out.trained_on(whole.graph),
        seed=step.seed,
        hops=step.hops,
        hop_weights=step.hop_weights,
        eps=step.eps,
        exclude=step.exclude,
        exclude_taxonomic=step.exclude_taxonomic,
        way=step.way,
        triple_ids=whole.ids,
    )
