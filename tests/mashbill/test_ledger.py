"""Every reply durable before it is used, exact when it comes back, never lost to a full disk or a second process."""

from __future__ import annotations

import asyncio
import dataclasses
import math
import resource
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mashbill.engine import Message, Reply, Request, Sampling, TokenLogprob, assistant, system, user
from mashbill.errors import LedgerError
from mashbill.ledger import SHARED, Ledger, reply_key, request_bytes
from tests.support.kernel import reply

ENGINE = "scripted/one"
ANY_TEXT = st.text(st.characters() | st.sampled_from(["\udc80", "\udfff"]), max_size=8)
"""Any text, lone halves of surrogate pairs included (a whole pair of halves is one character, told two ways)."""
LONG = "The salt road runs east. " * 40


def request(*parts: str, **fields: Any) -> Request:
    return Request(messages=(user(*parts),), **fields)


def key_of(asked: Request, draw: int = 0, engine: str = ENGINE) -> str:
    return reply_key(engine, request_bytes(asked), asked.seed, draw)


async def put(ledger: Ledger, asked: Request, answer: Reply, draw: int = 0) -> Reply:
    return await ledger.put(key_of(asked, draw), ENGINE, asked, draw, answer)


def rows(path: Path, table: str) -> int:
    with sqlite3.connect(path) as connection:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


async def test_a_reply_is_on_disk_when_its_future_resolves(ledger: Ledger) -> None:
    asked = request("Where does the salt come from?")
    await put(ledger, asked, reply("The east."))
    other = Ledger(ledger.path)
    assert other.get(key_of(asked)) == dataclasses.replace(reply("The east."), key=key_of(asked))
    await other.close()


async def test_replies_that_come_together_are_committed_together(ledger: Ledger) -> None:
    commits: list[str] = []
    ledger._writer.set_trace_callback(lambda said: commits.append(said) if said == "COMMIT" else None)
    asked = [request(str(number)) for number in range(100)]
    await asyncio.gather(*[put(ledger, one, reply("yes")) for one in asked])
    assert ledger.count() == 100
    assert len(commits) <= 2


async def test_the_first_reply_under_a_key_stays(ledger: Ledger) -> None:
    asked = request("Once?")
    assert (await put(ledger, asked, reply("first"))).text == "first"
    assert (await put(ledger, asked, reply("second"))).text == "first"
    assert ledger.count() == 1


async def test_of_two_processes_the_first_to_write_wins(ledger: Ledger, tmp_path: Path) -> None:
    code = f"""
        import asyncio
        from mashbill.engine import Reply, Request, user
        from mashbill.ledger import Ledger, reply_key, request_bytes

        async def main():
            ledger = Ledger({str(ledger.path)!r})
            for number in range(200):
                asked = Request(messages=(user(str(number)),))
                key = reply_key({ENGINE!r}, request_bytes(asked), 0, 0)
                text = f"theirs {{number}}"
                answer = Reply(text=text, finish_reason="stop", prompt_tokens=1, completion_tokens=1)
                stood = await ledger.put(key, {ENGINE!r}, asked, 0, answer)
                print(number, stood.text, flush=True)
            await ledger.close()

        asyncio.run(main())
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", textwrap.dedent(code), stdout=asyncio.subprocess.PIPE
    )
    mine = {number: (await put(ledger, request(str(number)), reply(f"mine {number}"))).text for number in range(200)}
    out, _ = await process.communicate()
    theirs = {int(number): text for number, text in (line.split(" ", 1) for line in out.decode().splitlines())}
    assert process.returncode == 0
    assert mine == theirs
    assert ledger.count() == 200


async def test_several_processes_may_open_a_new_ledger_at_once(tmp_path: Path) -> None:
    code = f"from mashbill.ledger import Ledger; print(Ledger({str(tmp_path / 'new' / 'ledger.sqlite')!r}).count())"
    started = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
        for _ in range(4)
    ]
    said = [(await one.communicate())[0].decode().strip() for one in started]
    assert said == ["0"] * 4


async def test_a_long_text_is_stored_once_however_often_it_is_sent(ledger: Ledger) -> None:
    await asyncio.gather(*[put(ledger, request(LONG, f"Question {n}"), reply("a")) for n in range(20)])
    assert rows(ledger.path, "texts") == 1
    again = Ledger(ledger.path)
    await put(again, request(LONG, "One more"), reply("b"))
    await again.close()
    assert rows(ledger.path, "texts") == 1
    assert rows(ledger.path, "replies") == 21


@settings(max_examples=60)
@given(
    parts=st.lists(
        ANY_TEXT | st.sampled_from(["@", "\\", "@x", "\\@", "\\\\n", "@" + "0" * 32, LONG, "@" + LONG]), max_size=4
    ),
    seed=st.integers(0, 2**31 - 1),
    stop=st.lists(ANY_TEXT, max_size=2),
    answer=ANY_TEXT,
    draw=st.integers(0, 9),
)
def test_a_request_is_restored_exactly(
    tmp_path: Path, parts: list[str], seed: int, stop: list[str], answer: str, draw: int
) -> None:
    asked = Request(
        messages=(system("Be brief."), user(*parts), assistant("So?")),
        sampling=Sampling(stop=tuple(stop), temperature=0.7),
        schema='{"type":"object"}',
        seed=seed,
    )

    async def there_and_back() -> None:
        ledger = Ledger(Path(tempfile.mkdtemp(dir=tmp_path)) / "ledger.sqlite")
        stood = await put(ledger, asked, reply(answer), draw)
        entry = ledger.entry(key_of(asked, draw))
        assert entry is not None
        assert (entry.engine, entry.request, entry.draw) == (ENGINE, asked, draw)
        assert entry.reply == dataclasses.replace(stood, key=entry.key)
        assert entry.created > 1_700_000_000
        await ledger.close()

    asyncio.run(there_and_back())


async def test_a_reply_with_log_probabilities_is_restored_exactly(ledger: Ledger) -> None:
    tokens = (
        TokenLogprob(token="salt", logprob=-0.5, top=(("salt", -0.5), ("sand", -math.inf))),
        TokenLogprob(token="{", logprob=-math.inf),
    )
    asked, answer = request("Which?"), dataclasses.replace(reply("salt{", "length"), logprobs=tokens)
    await put(ledger, asked, answer)
    assert ledger.get(key_of(asked)) == dataclasses.replace(answer, key=key_of(asked))


async def test_half_a_surrogate_pair_survives_wherever_it_stands(ledger: Ledger) -> None:
    asked = request("\ud800", "@\udfff" + LONG, sampling=Sampling(stop=("\udc80",)))
    await put(ledger, asked, reply("\ud83d"))
    entry = ledger.entry(key_of(asked))
    assert entry is not None
    assert (entry.request, entry.reply.text) == (asked, "\ud83d")


async def test_what_was_never_stored_is_none(ledger: Ledger) -> None:
    assert ledger.get(key_of(request("Never"))) is None
    assert ledger.entry(key_of(request("Never"))) is None


@given(st.text(min_size=1, max_size=20), st.data())
def test_splitting_a_message_into_parts_does_not_change_the_key(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=4)))
    parts = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert key_of(request(*parts)) == key_of(request(text))


BASE = Request(messages=(system("a"), user("b", "c")), sampling=Sampling(stop=("x",)), schema="{}", seed=3)


def sampling_with(name: str, value: Any) -> Sampling:
    return dataclasses.replace(BASE.sampling, **{name: value})


CHANGES: dict[str, Any] = {
    "role": {"messages": (user("a"), user("b", "c"))},
    "text": {"messages": (system("a"), user("b", "d"))},
    "order": {"messages": (user("b", "c"), system("a"))},
    "joined messages": {"messages": (system("abc"),)},
    "border between messages": {"messages": (system("ab"), user("c"))},
    "one more": {"messages": (system("a"), user("b", "c"), Message("assistant", ()))},
    "schema": {"schema": '{"a":1}'},
    "seed": {"seed": 4},
    **{
        name: {"sampling": sampling_with(name, value)}
        for name, value in {
            "max_tokens": 7,
            "temperature": 0.2,
            "top_p": 0.9,
            "top_k": 5,
            "stop": ("y",),
            "logprobs": 2,
        }.items()
    },
}


def test_every_changed_field_changes_the_key() -> None:
    assert {field.name for field in dataclasses.fields(Sampling)} <= set(CHANGES), "a new field needs a change here"
    assert {field.name for field in dataclasses.fields(Request)} <= {*CHANGES, "messages", "sampling"}
    keys = [key_of(BASE), *[key_of(dataclasses.replace(BASE, **change)) for change in CHANGES.values()]]
    keys += [key_of(BASE, draw=1), key_of(BASE, engine="scripted/two")]
    assert len(set(keys)) == len(keys)


requests = st.builds(
    Request,
    messages=st.lists(
        st.builds(Message, st.sampled_from(["system", "user"]), st.lists(ANY_TEXT, max_size=2).map(tuple)), max_size=2
    ).map(tuple),
    seed=st.integers(0, 3),
)


@given(requests, requests, st.integers(0, 2), st.integers(0, 2))
def test_two_requests_share_a_key_only_when_the_model_sees_the_same(
    one: Request, two: Request, first: int, second: int
) -> None:
    def seen(asked: Request, draw: int) -> tuple[object, ...]:
        return [(said.role, said.content) for said in asked.messages], asked.seed, draw

    assert (key_of(one, first) == key_of(two, second)) == (seen(one, first) == seen(two, second))


def test_a_key_never_changes() -> None:
    assert key_of(BASE) == GOLDEN_KEY


GOLDEN_KEY = "bdb395bd3a1c8458fa2039c08e11f805"


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(b"These are my notes, do not lose them. " * 100)
    with pytest.raises(LedgerError, match=r"ledger\.sqlite: cannot open the ledger: file is not a database"):
        Ledger(path)
    assert path.read_bytes().startswith(b"These are my notes")


def test_a_place_under_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(LedgerError, match="cannot open the ledger"):
        Ledger(tmp_path / "file" / "ledger.sqlite")


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path, as_root: bool) -> None:
    if as_root:
        pytest.skip("root may write anywhere")
    tmp_path.chmod(0o500)
    with pytest.raises(LedgerError, match="permissions"):
        Ledger(tmp_path / "ledger.sqlite")


def test_a_folder_that_is_the_ledger_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="unable to open database file; check the disk's free space"):
        Ledger(tmp_path)


async def test_a_full_disk_fails_the_reply_and_keeps_what_was_committed(ledger: Ledger) -> None:
    first = request("Before")
    await put(ledger, first, reply("kept"))
    pages = ledger._writer.execute("PRAGMA page_count").fetchone()[0]
    ledger._writer.execute(f"PRAGMA max_page_count={pages}")
    big = request("@" + LONG, "big")
    with pytest.raises(LedgerError, match=r"cannot write the ledger: .*full.*run the same command again"):
        await put(ledger, big, reply("x" * 100_000))
    assert ledger.get(key_of(first)) is not None
    assert ledger.get(key_of(big)) is None

    ledger._writer.execute("PRAGMA max_page_count=1000000")
    await put(ledger, big, reply("x" * 100_000))
    entry = ledger.entry(key_of(big))
    assert entry is not None
    assert entry.request == big, "the long text was rolled back too and must be stored again"
    with sqlite3.connect(ledger.path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_file_size_limit_is_an_error_with_a_usable_message_and_corrupts_nothing(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    code = f"""
        import asyncio, resource
        from mashbill.engine import Reply, Request, user
        from mashbill.errors import LedgerError
        from mashbill.ledger import Ledger, reply_key, request_bytes

        async def main():
            ledger = Ledger({str(path)!r})
            resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
            for number in range(100):
                asked = Request(messages=(user(str(number)),))
                key = reply_key({ENGINE!r}, request_bytes(asked), 0, 0)
                answer = Reply(text="x" * 20_000, finish_reason="stop", prompt_tokens=1, completion_tokens=1)
                try:
                    await ledger.put(key, {ENGINE!r}, asked, 0, answer)
                except LedgerError as error:
                    print(number, error)
                    break
            await ledger.close()

        asyncio.run(main())
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    stored, message = done.stdout.split(" ", 1)
    assert "cannot write the ledger" in message
    assert "run the same command again" in message
    assert 0 < int(stored) < 100
    assert rows(path, "replies") == int(stored)
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


async def test_a_reply_that_cannot_be_written_fails_instead_of_waiting_for_ever(ledger: Ledger) -> None:
    strange = dataclasses.replace(reply("a"), text=object())  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        await put(ledger, request("strange"), strange)
    assert (await put(ledger, request("good"), reply("fine"))).text == "fine"


async def test_a_reader_of_a_damaged_file_hears_it(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    await put(ledger, request("a"), reply("b"))
    ledger._reader.close()
    for read in (lambda: ledger.get("00" * 16), lambda: ledger.entry("00" * 16), ledger.count):
        with pytest.raises(LedgerError, match="cannot read the ledger"):
            read()
    ledger._reader = ledger._connect()
    await ledger.close()


async def test_closing_commits_what_is_pending_and_may_be_done_twice(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    future = ledger.put(key_of(request("a")), ENGINE, request("a"), 0, reply("b"))
    await ledger.close()
    await ledger.close()
    assert (await future).text == "b"
    assert rows(ledger.path, "replies") == 1


async def test_a_reply_put_after_closing_fails(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    await ledger.close()
    with pytest.raises(RuntimeError, match="shutdown"):
        await put(ledger, request("late"), reply("b"))


async def test_nobody_waiting_any_more_does_no_harm(ledger: Ledger) -> None:
    gone = ledger.put(key_of(request("a")), ENGINE, request("a"), 0, reply("b"))
    gone.cancel()
    await put(ledger, request("c"), reply("d"))
    assert ledger.get(key_of(request("a"))) is not None
    ledger._writer.execute(f"PRAGMA max_page_count={ledger._writer.execute('PRAGMA page_count').fetchone()[0]}")
    failed = ledger.put(key_of(request("e")), ENGINE, request("e"), 0, reply("x" * 100_000))
    failed.cancel()
    await asyncio.shield(ledger._flusher or asyncio.sleep(0))
    assert ledger.get(key_of(request("e"))) is None


def test_parts_just_under_the_limit_stay_in_place(tmp_path: Path) -> None:
    async def stored() -> None:
        ledger = Ledger(tmp_path / "ledger.sqlite")
        await put(ledger, request("a" * (SHARED - 1)), reply("b"))
        await put(ledger, request("a" * SHARED), reply("b"))
        await ledger.close()

    asyncio.run(stored())
    assert rows(tmp_path / "ledger.sqlite", "texts") == 1
