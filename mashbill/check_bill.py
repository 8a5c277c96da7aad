"""What must hold in a bill as a whole: names point at something, whoever asks has an engine, a release has one type."""

from __future__ import annotations

import re

from mashbill.bill import Bill
from mashbill.registry import nearest

_ROLE = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)
"""What may name a role: it becomes part of the names of variables."""


def check_bill(bill: Bill) -> None:
    """Refuse a bill whose parts do not fit.

    Raises:
        BillError: with file, line, what was found and what was wanted.
    """
    if not bill.streams:
        bill.whole.at("streams").fail("names no stream; give at least one, as raw: {from: SOURCE}")
    for name in bill.release.streams:
        if name not in bill.streams:
            place = bill.whole.at("release").at("streams").at(name)
            place.fail(
                f"no stream is called {name!r}{nearest(name, bill.streams)}; there are: {', '.join(bill.streams)}"
            )
    if bill.release.shares_by == "tokens" and not bill.release.tokenizer and "student" not in bill.whole:
        bill.whole.at("release").at("shares_by").fail(
            "counts tokens, and there is no tokenizer: name one with `release.tokenizer` (a folder with "
            "tokenizer.json, or bytes), or add the `student` that is to learn them"
        )
    _one_type(bill)
    for name, stream in bill.streams.items():
        if stream.asks and "engine" not in bill.whole:
            place = bill.whole.at("streams").at(name)
            does = "generates" if stream.generates else "asks a judge"
            place.fail(f"{does}, so the bill needs an `engine` (transformers, openai or vllm)")
    bill.engine()
    _check_roles(bill)
    if "train" in bill.whole and "student" not in bill.whole:
        bill.whole.at("train").fail("needs a `student` to train")


def _check_roles(bill: Bill) -> None:
    for role in bill.roles:
        if not _ROLE.fullmatch(role):
            bill.whole.at("engines").at(role).fail(
                f"a role is lower-case letters, digits and _, beginning with a letter; found {role!r}"
            )
        bill.engine(role)
    for name, stream in bill.streams.items():
        for step in stream.steps:
            for role in step.engines():
                if role not in bill.roles:
                    known = ", ".join(bill.roles) or "none"
                    bill.whole.at("streams").at(name).fail(
                        f"{step.name} asks the engine {role!r}{nearest(role, bill.roles)}; under `engines` there are: "
                        f"{known}"
                    )


def _one_type(bill: Bill) -> None:
    first, *others = bill.released
    for name in others:
        here, there = bill.streams[name].writes, bill.streams[first].writes
        if here is not there:
            bill.whole.at("streams").at(name).fail(
                f"gives {here.__name__} but {first} gives {there.__name__}: a release holds one type of record; "
                "name the streams to publish under `release.streams`"
            )
