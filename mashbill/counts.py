"""How many rows went in and came out of a step, and why the others did not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer


class Counts(BaseModel):
    """The accounting of a part or of a whole step.

    ``attempts == kept + sum(rejected.values())`` always; for steps that judge rows, ``attempts == read``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    read: int = 0
    """Input records."""
    attempts: int = 0
    """Rows that were tried: for a generator one per text it set out to make."""
    kept: int = 0
    rejected: dict[str, int] = {}
    """Reason -> rows, in order of reason."""
    barren: int = 0
    """Input records that gave no kept row."""
    asks: int = 0
    """Model replies used, re-asks included."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    states: dict[str, int] = {}
    """State -> asks that ended in it; ``ok`` is left out (see `mashbill.ask_state`)."""
    noted: dict[str, int] = {}
    """What a step counted besides its rows, by name; see `mashbill.step.PartOutput`."""
    roles: dict[str, int] = {}
    """What of it engines besides the main one were asked: ``judge asks``, ``judge prompt``, ``judge completion``."""

    @model_serializer(mode="wrap")
    def _plain(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Left out where there is one engine: its steps have the bytes that they had before this was counted.
        plain: dict[str, Any] = handler(self)
        return {name: value for name, value in plain.items() if name != "roles" or value}

    @property
    def rejects(self) -> int:
        """All rejected attempts."""
        return sum(self.rejected.values())

    def __add__(self, other: Self) -> Self:
        """Counts of two parts together."""
        plain = {
            name: getattr(self, name) + getattr(other, name) for name in type(self).model_fields if name not in _BY_NAME
        }
        named = {name: _summed(getattr(self, name), getattr(other, name)) for name in _BY_NAME}
        return type(self)(**{**plain, **named})


_BY_NAME = ("rejected", "states", "noted", "roles")


def _summed(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in sorted({*one, *other})}


@dataclass(slots=True)
class Tally:
    """Counts that are still growing: to add to a `Counts`, which is checked and frozen, takes 9 microseconds."""

    read: int = 0
    attempts: int = 0
    kept: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    barren: int = 0
    asks: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    rejects: int = 0
    """The sum of `rejected`."""
    states: dict[str, int] = field(default_factory=dict)
    roles: dict[str, int] = field(default_factory=dict)

    def add(self, more: Counts | Tally) -> None:
        """Add these."""
        self.read += more.read
        self.attempts += more.attempts
        self.kept += more.kept
        self.barren += more.barren
        self.asks += more.asks
        self.prompt_tokens += more.prompt_tokens
        self.completion_tokens += more.completion_tokens
        self.rejects += more.rejects
        for reason, count in more.rejected.items():
            self.rejected[reason] = self.rejected.get(reason, 0) + count
        for state, count in more.states.items():
            self.states[state] = self.states.get(state, 0) + count
        for name, count in more.roles.items():
            self.roles[name] = self.roles.get(name, 0) + count

    def counts(self) -> Counts:
        """What it comes to."""
        return Counts(
            read=self.read,
            attempts=self.attempts,
            kept=self.kept,
            rejected=dict(sorted(self.rejected.items())),
            barren=self.barren,
            asks=self.asks,
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
            states=dict(sorted(self.states.items())),
            roles=dict(sorted(self.roles.items())),
        )
