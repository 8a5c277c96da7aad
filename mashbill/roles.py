"""Roles: how a step names the engines it asks besides the main one.

A bill gives engines by role (``engines: {judge: {openai: …}}``), and a step has the role as its field.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mashbill.ask import Ask

MAIN = "main"
"""The role that stands for a bill's main engine where engines are named."""


def engine_of(role: str) -> str:
    """A role in a list of engines as `ask` takes it."""
    return "" if role == MAIN else role


def roles(*lists: Sequence[str]) -> tuple[str, ...]:
    """All roles but the main engine's, each once, in order.

    >>> roles(["main", "big"], ["judge", "big"])
    ('big', 'judge')
    """
    return tuple(dict.fromkeys(role for names in lists for role in names if role != MAIN))


def identity_of(role: str, ask: Ask) -> str:
    """The identity of a role's engine; empty where the run has none, which asking it will say."""
    asker = ask.asker if role == MAIN else ask.askers.get(role)
    return "" if asker is None else asker.identity
