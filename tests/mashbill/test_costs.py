"""What a release took: each step once, each engine at its own price, each source with what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mashbill.ask import Ask
from mashbill.asker import Asker
from mashbill.card import render_card
from mashbill.costs import Tokens, source_costs, step_costs
from mashbill.counts import Counts
from mashbill.execute import execute
from mashbill.join import join
from mashbill.prices import Price, PriceTable
from mashbill.records import Document
from mashbill.release import ReleasePlan, publish
from mashbill.release_manifest import ReleaseManifest
from mashbill.runtime import Runtime
from mashbill.step import Generator
from mashbill.store import Stored
from mashbill.usage import Usage
from tests.support.kernel import Echo, Shuffled, documents, ledger_at, reply, store


@dataclass(frozen=True, kw_only=True)
class Seconded(Generator[Document, Document]):
    """Asks the main engine once and a judge twice."""

    def engines(self) -> tuple[str, ...]:
        return ("judge",)

    async def make(self, record: Document, ask: Ask) -> Iterable[Document]:
        answer = await ask(record.text)
        for draw in range(2):
            await ask(answer.text, engine="judge", draw=draw)
        return [record.child(Document, kind="echo", text=answer.text, made=answer.made())]


class Judge(Shuffled):
    @property
    def identity(self) -> str:
        return "judge/1"


def released(root: Path) -> tuple[ReleaseManifest, dict[str, str]]:
    """Echoes of one source, seconded ones of two sources read together, and one source as it is."""

    async def steps() -> tuple[dict[str, Stored], dict[str, str]]:
        ledger = ledger_at(root)
        main = Shuffled(lambda request: reply(f"An echo of {request.messages[0].content}", tokens=3))
        judge = Judge(lambda _: reply("Good.", tokens=1))
        one, other = store(root, documents(6), step="read_one"), store(root, documents(9)[6:], step="read_other")
        async with Asker(main, ledger) as asker, Asker(judge, ledger) as second:
            runtime = Runtime(root=root, asker=asker, askers={"judge": second})
            echoes = await execute(Echo(), one, runtime)
            both = await execute(Seconded(), join([one, other], runtime), runtime)
        await ledger.close()
        return {"echoes": echoes, "both": both, "raw": one}, {one.manifest.fingerprint: "salt"}

    streams, names = asyncio.run(steps())
    plan = ReleasePlan(name="tales", version="1", description="", license="", language="", seed=0, shares={}, splits={})
    return ReleaseManifest.read(publish(plan, streams, root)), names


def test_steps_and_sources_with_each_engine_at_its_price(tmp_path: Path) -> None:
    release, names = released(tmp_path)
    seconded, echo = step_costs(release, names)
    assert (echo.stream, echo.step, echo.sources) == ("echoes", "echo", ("salt",))
    assert (echo.read, echo.tried, echo.kept, echo.gained) == (6, 6, 6, 1.0)
    assert echo.engines == {"shuffled/1": Tokens(6, 42, 18)}
    assert seconded.sources == ("salt", f"read_other/{3:032x}"[:15])
    assert seconded.engines == {"judge/1": Tokens(18, 126, 18), "shuffled/1": Tokens(9, 63, 27)}
    assert (seconded.asks, seconded.prompt_tokens, seconded.completion_tokens) == (27, 189, 45)
    prices = PriceTable(Path("p"), "USD", {"shuffled/1": Price(1e6, 2e6), "judge/1": Price(0, 1e6)})
    assert echo.money(prices) == 42 + 2 * 18
    assert seconded.money(prices) == 63 + 2 * 27 + 18
    assert seconded.money(PriceTable(Path("p"), "USD", {"shuffled/1": Price(1, 1)})) is None
    assert echo.money(None) is None
    together, alone = sorted(source_costs(release, names), key=lambda one: -len(one.sources))
    assert (alone.sources, alone.read, alone.released) == (("salt",), 6, 12)
    assert (alone.asks, alone.prompt_tokens, alone.completion_tokens, alone.money(prices)) == (6, 42, 18, 78)
    assert (together.read, together.released, together.asks, together.money(None)) == (9, 9, 27, None)
    assert sum(one.released for one in (alone, together)) == release.rows


def test_the_card_says_what_a_release_took_and_never_its_price(tmp_path: Path) -> None:
    release, _ = released(tmp_path)
    card = render_card(release)
    assert "| echoes | echo | read_one/0000 | 6 | 6 | 6 | 100% | 6 | 42 | 18 |" in card
    assert "| read_one/0000 | 6 | 12 | 6 | 42 | 18 |" in card
    assert "cost" not in card.lower().replace("what the filters cost", "")


def test_what_nobody_asked_took_nothing(tmp_path: Path) -> None:
    source = store(tmp_path, documents(3))
    plan = ReleasePlan(name="raw", version="1", description="", license="", language="", seed=0, shares={}, splits={})
    release = ReleaseManifest.read(publish(plan, {"raw": source}, tmp_path))
    assert step_costs(release) == []
    (one,) = source_costs(release)
    assert (one.asks, one.released) == (0, 3)
    assert "What it took of a model" not in render_card(release)


def test_counts_of_one_engine_have_the_bytes_they_had() -> None:
    assert "roles" not in Counts(asks=3).model_dump(mode="json")
    counts = Counts(asks=3, roles={"judge asks": 2})
    assert Counts.model_validate_json(counts.model_dump_json()) == counts
    assert (counts + counts).roles == {"judge asks": 4}


def test_usage_of_roles_adds_up() -> None:
    one = Usage()
    one.add(reply("Good.", tokens=1), replayed=False, role="judge")
    before = one.copy()
    one.add(reply("Good.", tokens=1), replayed=True, role="judge")
    one.add(reply("Good.", tokens=1), replayed=True)
    assert (one - before).roles == {"judge asks": 1, "judge prompt": 7, "judge completion": 1}
    assert (one + one).roles["judge asks"] == 4
    assert before.roles["judge asks"] == 1
