"""``mashbill trace``: a row's descent as a tree, down to the file it goes back to.

relation 6f1c09ab77c0  The Salt Guild  entigraph/5f0c11d2
├── asked 77ab09ab77c0  transformers/smollm2-135m-instruct@5af1
│   ├── temperature 1, top_p 1, max_tokens 400; seed 1094795585; 911 + 212 tokens, stop
│   ├── prompt: Title: The Salt Guild …
│   └── reply: Discussion of The Salt Guild in relation to Ora Venn …
└── from source 09ab77c0  salt.md  Apache-2.0  read_documents/77c009ab
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from rich.text import Text
from rich.tree import Tree

from flows.look import COMMON, TEXT_FIELDS, _value
from flows.terminal import console, date, excerpt, number, plain, short
from mashbill.ledger import Entry, Ledger
from mashbill.lineage import Ancestry, Place, ancestry

if TYPE_CHECKING:
    from mashbill.settings import Settings


def render_trace(said: str, settings: Settings, *, full: bool) -> None:
    """Print the tree of a row.

    Raises:
        StoreError: when no row, or more than one, has an id that begins so.
    """
    found = asyncio.run(_ancestry(said, settings))
    console().print(_tree(found, full))


async def _ancestry(said: str, settings: Settings) -> Ancestry:
    # Opening a ledger creates it; looking must not.
    ledger = Ledger(settings.ledger) if settings.ledger.is_file() else None
    try:
        return ancestry(settings.root, said, ledger)
    finally:
        if ledger is not None:
            await ledger.close()


def _tree(found: Ancestry, full: bool) -> Tree:
    tree = Tree(_head(found.place), guide_style="dim")
    _grow(tree, found, full)
    return tree


def _grow(tree: Tree, found: Ancestry, full: bool) -> None:
    row = found.place.row
    for line in _lines(found, full):
        tree.add(line)
    for entry in found.asks:
        branch = tree.add(_joined("asked", (short(entry.key), "bold"), entry.engine, _draw(entry)))
        for line in _ask(entry, full):
            branch.add(line)
    for key in found.missing_asks:
        tree.add(Text(f"asked {short(key)}: the reply is not in this ledger", "red"))
    for parent in found.parents:
        branch = tree.add(Text("from ").append_text(_head(parent.place)))
        _grow(branch, parent, full)
    if not found.parents and row["parents"]:
        tree.add(Text(f"from {', '.join(short(one) for one in row['parents'])}, shown above", "dim"))


def _head(place: Place) -> Text:
    row = place.row
    what = row.get("kind") or "row"
    where = f"{place.folder.parent.name}/{short(place.folder.name)}"
    file = () if row["parents"] else (row["source"], row["license"] or "no licence stated")
    return _joined(what, (short(row["id"]), "bold"), excerpt(row.get("title") or "", 60), *file, (where, "dim"))


def _joined(*pieces: str | tuple[str, str]) -> Text:
    pairs = [(one, "") if isinstance(one, str) else one for one in pieces]
    return Text("  ").join(Text(plain(text), style) for text, style in pairs if text)


def _lines(found: Ancestry, full: bool) -> Iterator[Text]:
    row, made = found.place.row, found.place.row["made"]
    if found.place.rejected:
        why = f": {excerpt(row['detail'], 200)}" if row["detail"] else ""
        yield Text(f"rejected by {row['step']}: {row['reason']}{why}", "red")
    others = [one for one in found.also if one.folder != found.place.folder]
    for one in others:
        judged = f"rejected as {one.row['reason']} in" if one.rejected else "kept by"
        yield Text(f"{judged} {one.folder.parent.name}/{short(one.folder.name)}")
    if made["step"] and not found.place.rejected:
        tokens = f"{number(made['prompt_tokens'])} + {number(made['completion_tokens'])} tokens"
        how = f"with {made['engine']}; {tokens}, {made['finish_reason']}" if made["engine"] else "without a model"
        yield Text(f"made by {made['step']} {how}")
    for name, value in row.items():
        if name not in (*COMMON, *TEXT_FIELDS, "step", "reason", "detail") and _value(value):
            yield _labelled(name, _value(value), full)
    yield from (_labelled(name, row[name], full) for name in TEXT_FIELDS if row.get(name))


def _draw(entry: Entry) -> str:
    return f"draw {entry.draw}" if entry.draw else ""


def _ask(entry: Entry, full: bool) -> Iterator[Text]:
    request, reply = entry.request, entry.reply
    tokens = f"{number(reply.prompt_tokens)} + {number(reply.completion_tokens)} tokens, {reply.finish_reason}"
    yield Text(f"{_sampling(request.sampling)}; seed {request.seed}; {tokens}; {date(entry.created)}")
    if full and request.schema:
        yield Text(f"schema: {plain(request.schema)}")
    if full:
        yield from (_labelled(message.role, message.content, full) for message in request.messages)
    else:
        # The end of the last message is what was asked; its beginning is the document.
        yield _labelled("prompt", _tail(request.messages[-1].parts), full)
    yield _labelled("reply", reply.text, full)


def _tail(parts: Iterable[str]) -> str:
    *before, last = parts
    return ("… " if before else "") + last.lstrip()


def _sampling(sampling: Any) -> str:
    shown = {name: getattr(sampling, name) for name in ("temperature", "top_p", "top_k", "max_tokens", "stop")}
    # A limit that limits nothing is left out: top_p 1, top_k 0, no stop strings.
    pairs = {name: value for name, value in shown.items() if name == "temperature" or value not in (0, 1.0, ())}
    return ", ".join(f"{name} {_number(value)}" for name, value in pairs.items())


def _number(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, tuple) else f"{value:g}"


def _labelled(name: str, text: str, full: bool) -> Text:
    if full and len(text) > 60:
        return Text(f"{name}:\n", "dim").append(plain(text), "default")
    return Text(f"{name}: ", "dim").append(excerpt(text, 200), "default")
