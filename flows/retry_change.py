"""What a retry changes of an ask: how long the reply may be, and how it is sampled.

``--max-tokens 2x`` of an ask that had 512 -> 1024; ``--max-tokens 800`` -> 800; nothing said -> another draw, by a seed
of its own, which a greedy ask (temperature 0) does not have.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from mashbill.ask_state import ASKED_AGAIN, AskState
from mashbill.engine import Sampling
from mashbill.errors import UserError
from mashbill.registry import nearest

_TOKENS = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?)(?P<times>x?)")


@dataclass(frozen=True, kw_only=True)
class Change:
    """What is asked otherwise.

    >>> Change(state=AskState.TRUNCATED, max_tokens="2x").of(Sampling(max_tokens=300)).max_tokens
    600
    """

    state: AskState
    """Which asks."""
    max_tokens: str = ""
    temperature: float | None = None
    step: str = ""
    """Only those of the step of this name."""
    limit: int | None = None
    """At most so many asks."""

    def __post_init__(self) -> None:
        """Refuse what means nothing, before any work."""
        if self.state is AskState.OK:
            raise UserError("what ended ok needs no retry; name another state: " + ", ".join(RETRIED))
        if self.max_tokens and self._number() <= 0:
            raise UserError(
                f"--max-tokens {self.max_tokens}: no reply has {self.max_tokens} tokens; wanted how often as many as "
                "before, as 2x, or a number, as 800"
            )
        if self.temperature is not None and not 0 <= self.temperature < float("inf"):
            raise UserError(f"--temperature {self.temperature:g}: wanted 0 (greedy) or a number above it")
        if self.state in ASKED_AGAIN and (self.max_tokens or self.temperature is not None):
            raise UserError(
                f"asks that ended as {self.state.value} got no reply and are asked again as they were; leave "
                "--max-tokens and --temperature out"
            )

    def of(self, sampling: Sampling) -> Sampling:
        """The sampling of an ask that had this one.

        Raises:
            UserError: when a reply that was cut off would be cut off no later, or a greedy one come again as it was.
        """
        tokens = sampling.max_tokens
        if self.max_tokens:
            tokens = max(1, round(self._number() * tokens) if self.max_tokens.endswith("x") else int(self._number()))
            if self.state is AskState.TRUNCATED and tokens <= sampling.max_tokens:
                raise UserError(
                    f"--max-tokens {self.max_tokens}: an ask that was cut off had {sampling.max_tokens} tokens and "
                    f"would now have {tokens}; wanted more, as 2x"
                )
        temperature = sampling.temperature if self.temperature is None else self.temperature
        changed = replace(sampling, max_tokens=tokens, temperature=temperature)
        if temperature == 0 and changed == sampling:
            raise UserError(
                f"an ask that ended as {self.state.value} was greedy (temperature 0) and would get the same reply "
                "again; change something of it: --max-tokens 2x, or --temperature 0.7"
            )
        return changed

    def _number(self) -> float:
        found = _TOKENS.fullmatch(self.max_tokens)
        if found is None:
            raise UserError(
                f"--max-tokens {self.max_tokens}: wanted how often as many as before, as 2x, or a number, as 800"
            )
        if not found["times"] and "." in found["number"]:
            raise UserError(f"--max-tokens {self.max_tokens}: wanted a whole number of tokens, or 1.5x")
        return float(found["number"])


RETRIED = tuple(one.value for one in AskState if one is not AskState.OK)


def state_named(said: str) -> AskState:
    """The state of this name.

    Raises:
        UserError: when there is none, with the nearest and all of them.
    """
    try:
        return AskState(said)
    except ValueError:
        known = [one.value for one in AskState]
        raise UserError(f"no state is called {said!r}{nearest(said, known)}; there are: {', '.join(known)}") from None
