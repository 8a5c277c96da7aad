"""A judge distilled: it marks a sample, a small model learns its marks and gives the rest theirs, and doubts go back.

100,000 rows, ``rubric: document, least: {substance: 3}`` -> 2,000 are judged and learnt from, at most 10,000 of the
others are judged because the proxy is not sure of them, and 88,000 are decided by the proxy at thousands a second::

    curate:
      - proxy_judge: {rubric: document, least: {substance: 3}, save: proxies}

After Falconer (arXiv 2510.01427), whose annotator labels data for one small proxy. The proxy is logistic regression
over sentence vectors (`mashbill.proxy`); how often it agrees with the judge on documents it was not fitted on stands in
the manifest, and one that agrees too little (`least_kappa`) stops the run. It sees one vector of all a judge is shown,
so it learns what kind of text is good; whether an answer follows from a passage is beyond it, and the kappa says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from filters.opinion import CHARACTERS, JUDGING, Opinion, checked_least, opinion_of, refuse_family
from filters.proxy_output import Deciding, Marked, decided
from filters.proxy_rows import (
    Reading,
    Sampled,
    Shown,
    agreement_of,
    drawn_ids,
    fit_dimensions,
    makers_of,
    text_of,
)
from filters.rubric_file import Rubric, read_rubric, rubric_of, yes_no
from filters.spilled import Spilled
from mashbill.ask import Ask
from mashbill.embedding import DEFAULT
from mashbill.engine import Sampling
from mashbill.errors import ProxyError
from mashbill.proxy import Proxy
from mashbill.proxy_file import save_proxy
from mashbill.records import Record
from mashbill.roles import MAIN, roles
from mashbill.step import DatasetGenerator, PartOutput, Parts
from mashbill.store import Stored

PARTS_OF_ONE = 10_000
"""What shares are counted in, since a manifest counts in whole numbers."""


@dataclass(frozen=True, kw_only=True)
class ProxyJudge(DatasetGenerator[Record, Record]):
    """Has a sample judged, learns the marks, and asks the judge again about doubtful rows alone."""

    judges: ClassVar[bool] = True

    rubric: str = ""
    """A rubric's name, as in `judge`; or give an `instruction`."""
    instruction: str = ""
    """A question of yes or no about a row's text; rows of which the answer is no go."""
    folder: str = field(default="", metadata={"identity": False, "file": True})
    """A folder of your own rubrics, relative to the bill."""
    engine: str = "judge"
    """The judge's role under ``engines`` in the bill; ``main`` for the main engine."""
    least: Mapping[str, int | str] = field(default_factory=dict)
    """Dimension -> the lowest mark that stays; empty with a rubric: rows are marked and all stay."""
    prefix: str = "judge"
    """What the names of scores and reasons begin with."""
    sample: int = 2000
    """Rows judged to learn from, drawn over all of them."""
    embedder: str = DEFAULT
    """What texts are told apart by; `minilm` knows meaning."""
    held_out: float = 0.2
    """Share of the sample that is not learnt from, by source document; agreement is measured on it."""
    sure: float = 0.8
    """Rows that the proxy decides with less probability than this are doubtful: back to the judge."""
    most_escalated: float = 0.1
    """At most this share of the rows goes back, the most doubtful ones; 0 sends none."""
    least_kappa: float = 0.4
    """Agreement beyond chance that a proxy must have on held-out rows; 0.4 is where Landis and Koch (1977) begin to
    call it moderate. Where `least` is empty it is asked of none."""
    characters: int = CHARACTERS
    same_family_ok: bool = False
    """Whether the judge may be of the family that wrote the rows."""
    sampling: Sampling = JUDGING
    save: str = field(default="", metadata={"identity": False, "file": True})
    """A folder, relative to the bill, for the proxies: ``<dimension>.json``, as `k_centre` reads them."""
    seed: int = 0
    rubric_digest: str = ""
    """What the rubric says: set by itself."""

    def __post_init__(self) -> None:
        """Read the rubric, and refuse what does not go with it."""
        if bool(self.rubric) == bool(self.instruction.strip()):
            raise ValueError("give either a rubric or an instruction: what is the judge to look at?")
        rubric = read_rubric(self.rubric, self.folder) if self.rubric else yes_no(self.instruction)
        least = self.least or ({"label": "yes"} if self.instruction else {})
        object.__setattr__(self, "least", checked_least(rubric, least))
        object.__setattr__(self, "rubric_digest", rubric.digest)
        if self.sample < 1 or self.characters < 1 or not self.engine or not self.prefix:
            raise ValueError("sample and characters are 1 or more, and engine and prefix cannot be empty")
        for name in ("held_out", "sure", "most_escalated"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it lies between 0 and 1")
        if not 0 < self.held_out < 1:
            raise ValueError(f"held_out is {self.held_out}; some rows are held out, and some are not")

    def engines(self) -> tuple[str, ...]:
        """The judge, where it is not the main engine."""
        return roles([self.engine])

    async def make(self, parts: Parts, ask: Ask) -> AsyncIterator[PartOutput]:
        """Each part with its marks, in order."""
        rubric, least = self._rubric(), {name: str(level) for name, level in self.least.items()}
        reading = Reading(rubric, self.characters)
        if not self.same_family_ok:
            for maker in sorted(await asyncio.to_thread(makers_of, parts)):
                refuse_family(maker, self.engine, ask)
        sampled, whole = await self._judged_sample(parts, reading, ask)
        proxies = {} if whole else await asyncio.to_thread(self._fitted, rubric, sampled, least)
        deciding = Deciding(rubric, least, proxies, self.prefix, self.name)
        known = {row: one.opinion for row, one in sampled.items()}
        width = sum(len(proxy.labels) for proxy in proxies.values()) + 1
        with Spilled(width) as numbers:
            cut = await asyncio.to_thread(self._measure, parts, reading, deciding, known, numbers)
            for index in range(len(parts)):
                table, found = parts.table(index), numbers.block(index)
                shown, ids = reading.shown(table), table.column("id").to_pylist()
                doubtful = found[:, -1] < cut
                asked = [at for at, one in enumerate(shown) if one is not None and (ids[at] in known or doubtful[at])]
                opinions = await self._opinions(ids, shown, asked, known, ask)
                marked = Marked(found[:, :-1], [one is None for one in shown], opinions)
                output = await asyncio.to_thread(decided, deciding, table, marked)
                judged = sum(ids[at] in known for at in asked)
                noted = {"judged": judged, "escalated": len(asked) - judged, "rows": table.num_rows}
                figures = self._figures(proxies, least) if index == 0 else {}
                yield PartOutput(output.kept, output.rejects, figures | noted)

    def report(self, source: Stored, made: Stored) -> dict[str, Any]:
        """Who judged how many rows, and how well each proxy agrees with the judge, for the manifest."""
        del source
        noted = dict(made.manifest.counts.noted)
        judged, escalated, rows = (noted.pop(name, 0) for name in ("judged", "escalated", "rows"))
        dimensions: dict[str, dict[str, float]] = {}
        for key, value in noted.items():
            name, _, figure = key.partition(".")
            whole = figure in ("fitted", "held_out")
            dimensions.setdefault(name, {})[figure] = value if whole else value / PARTS_OF_ONE
        judge = made.manifest.engine if self.engine == MAIN else made.manifest.engines[self.engine]
        by_proxy = rows - judged - escalated if dimensions else 0
        return {
            "judge": judge,
            "judged": judged,
            "escalated": escalated,
            "by_proxy": by_proxy,
            "dimensions": dimensions,
            "card": [_said(judge, judged + escalated, by_proxy, dimensions)],
        }

    def _rubric(self) -> Rubric:
        return rubric_of(self.rubric, self.folder, self.rubric_digest) if self.rubric else yes_no(self.instruction)

    async def _judged_sample(self, parts: Parts, reading: Reading, ask: Ask) -> tuple[dict[str, Sampled], bool]:
        """The rows of the sample that are not blank, with what the judge said; and whether these are all rows."""
        wanted = await asyncio.to_thread(drawn_ids, parts, self.sample, self.seed)
        found = dict[str, Sampled]()
        for index in range(len(parts)):
            table = parts.table(index)
            ids, sources = (table.column(name).to_pylist() for name in ("id", "source_id"))
            shown = reading.shown(table)
            asked = [at for at, row in enumerate(ids) if row in wanted and row not in found and shown[at] is not None]
            opinions = await self._opinions(ids, shown, asked, {}, ask)
            for at, opinion in opinions.items():
                parts_shown = shown[at]
                assert parts_shown is not None
                found[ids[at]] = Sampled(text_of(parts_shown), sources[at], opinion)
        return found, len(wanted) < self.sample

    async def _opinions(
        self, ids: Sequence[str], shown: Sequence[Shown], asked: Sequence[int], known: Mapping[str, Opinion], ask: Ask
    ) -> dict[int, Opinion]:
        """The judge's opinion of some rows of a part; what is known is not asked again."""
        rubric = self._rubric()

        async def one(at: int) -> Opinion:
            parts = shown[at]
            assert parts is not None
            return await opinion_of(rubric, parts, ask.of(ids[at]), self.engine, self.sampling)

        fresh = [at for at in asked if ids[at] not in known]
        async with asyncio.TaskGroup() as group:
            tasks = {at: group.create_task(one(at)) for at in fresh}
        return {at: tasks[at].result() if at in tasks else known[ids[at]] for at in asked}

    def _fitted(self, rubric: Rubric, sampled: Mapping[str, Sampled], least: Mapping[str, str]) -> dict[str, Proxy]:
        """The proxies.

        Raises:
            ProxyError: when one that decides cannot be fitted, or agrees too little, or when there is none.
        """
        rows = [sampled[row] for row in sorted(sampled)]
        found = fit_dimensions(rubric, rows, list(least), self.embedder, self.held_out, self.seed)
        for name, level in least.items():
            accuracy, kappa = agreement_of(found[name], rubric.levels, level)
            if kappa is None or kappa < self.least_kappa:
                said = "cannot be told, since held-out rows are all alike" if kappa is None else f"is {kappa:.2f}"
                raise ProxyError(
                    f"the proxy of {name} does not do what the judge does: on {found[name].report.held_out} held-out "
                    f"rows it agrees to {accuracy:.0%}, and kappa {said}, where least_kappa wants {self.least_kappa}. "
                    f"Judge more than {self.sample} rows, take the embedder minilm, or use `judge` on all rows"
                )
        if not found:
            raise ProxyError(
                f"no dimension of {rubric.name} can be learnt: the judge marked all {len(rows)} rows alike, or gave "
                "no marks; look at what it says, or judge other rows"
            )
        if self.save:
            for name, proxy in found.items():
                save_proxy(proxy, Path(self.save) / f"{name}.json")
        return found

    def _measure(
        self, parts: Parts, reading: Reading, deciding: Deciding, sampled: Collection[str], numbers: Spilled
    ) -> float:
        """Write what the proxies say of every row, and how sure they are; return below what a row is doubtful."""
        open_rows = list[Any]()
        for index in range(len(parts)):
            table = parts.table(index)
            shown = reading.shown(table)
            found = deciding.numbers([text_of(one) if one else "" for one in shown])
            numbers.add(found)
            ids = table.column("id").to_pylist()
            rest = [one is not None and row not in sampled for one, row in zip(shown, ids, strict=True)]
            open_rows.append(found[rest, -1].astype(np.float32))
        sureness = np.sort(np.concatenate([*open_rows, np.zeros(0, dtype=np.float32)]))
        if not deciding.proxies or not len(sureness):
            return 0.0
        room = int(self.most_escalated * len(sureness))
        return float(min(self.sure, sureness[room])) if room < len(sureness) else self.sure

    def _figures(self, proxies: Mapping[str, Proxy], least: Mapping[str, str]) -> dict[str, int]:
        noted = dict[str, int]()
        for name, proxy in proxies.items():
            accuracy, kappa = agreement_of(proxy, self._rubric().levels, least.get(name))
            noted[f"{name}.fitted"], noted[f"{name}.held_out"] = proxy.report.fitted, proxy.report.held_out
            noted[f"{name}.accuracy"] = round(accuracy * PARTS_OF_ONE)
            if kappa is not None:
                noted[f"{name}.kappa"] = round(kappa * PARTS_OF_ONE)
        return noted


def _said(judge: str, asked: int, by_proxy: int, dimensions: Mapping[str, Mapping[str, float]]) -> str:
    """A sentence for the card."""
    if not by_proxy:
        return f"{asked:,} rows were marked by {judge}."
    kappas = ", ".join(f"{name} {one['kappa']:.2f}" for name, one in dimensions.items() if "kappa" in one)
    return (
        f"{asked:,} rows were marked by {judge}, {by_proxy:,} by a proxy that learnt from it; kappa of the two on "
        f"held-out rows: {kappas}."
    )
