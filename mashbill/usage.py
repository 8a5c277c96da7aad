"""What asks have cost, in tokens and by how they ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace

from mashbill.ask_state import AskState
from mashbill.engine import Reply


@dataclass(slots=True)
class Usage:
    """What asks have cost: replayed ones came from the ledger."""

    asks: int = 0
    replayed: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    new_prompt_tokens: int = 0
    new_completion_tokens: int = 0
    states: dict[str, int] = field(default_factory=dict)
    """State -> asks that ended in it, re-asks counted; those that ended ``ok`` are not in it."""
    roles: dict[str, int] = field(default_factory=dict)
    """What of it engines besides the main one were asked: ``judge asks``, ``judge prompt``, ``judge completion``."""

    def add(self, reply: Reply, replayed: bool, role: str = "") -> None:
        """Count one reply, of the engine of a role."""
        if role:
            for side, count in (("asks", 1), ("prompt", reply.prompt_tokens), ("completion", reply.completion_tokens)):
                self.roles[f"{role} {side}"] = self.roles.get(f"{role} {side}", 0) + count
        self.asks += 1
        self.prompt_tokens += reply.prompt_tokens
        self.completion_tokens += reply.completion_tokens
        if replayed:
            self.replayed += 1
        else:
            self.new_prompt_tokens += reply.prompt_tokens
            self.new_completion_tokens += reply.completion_tokens

    def ended(self, state: AskState) -> None:
        """Count an ask that did not end ``ok``."""
        self.states[state.value] = self.states.get(state.value, 0) + 1

    def copy(self) -> Usage:
        """The same counts, which go on growing apart."""
        return replace(self, states=dict(self.states), roles=dict(self.roles))

    def __add__(self, other: Usage) -> Usage:
        """What two have cost together."""
        return self._with(other, 1)

    def __sub__(self, other: Usage) -> Usage:
        """What came since an earlier `copy`."""
        return self._with(other, -1)

    def _with(self, other: Usage, sign: int) -> Usage:
        plain = (one.name for one in fields(self) if one.name not in ("states", "roles"))
        states, roles = _added(self.states, other.states, sign), _added(self.roles, other.roles, sign)
        sums = {name: getattr(self, name) + sign * getattr(other, name) for name in plain}
        return Usage(**sums, states=states, roles=roles)


def _added(one: Mapping[str, int], other: Mapping[str, int], sign: int) -> dict[str, int]:
    both = {name: one.get(name, 0) + sign * other.get(name, 0) for name in sorted({*one, *other})}
    return {name: count for name, count in both.items() if count}
