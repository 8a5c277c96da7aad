"""What one attempt at a question leaves behind, whether a row came of it or not.

::

    Trail(answers=[three asks], first=2, drafts=3, refinement="kept")

An attempt alone writes to its own trail, and the step counts trails in the order of the attempts, so what is counted
does not depend on which reply came first.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from mashbill.ask import Answer

Refinement = Literal["", "kept", "upheld", "changed", "unusable"]
"""``kept``: the edited work is on the row. ``upheld``: the editor changed the final answer, a further draw upheld the
first one, and the unedited work is on the row. ``changed``: no draw upheld it, and the attempt was rejected.
``unusable``: the edited work could not be read or failed a check; the unedited one is on the row."""


@dataclass(slots=True)
class Trail:
    """The asks of one attempt and what was measured on the way."""

    answers: list[Answer[Any]] = field(default_factory=list)
    """Every usable reply, in the order of the method."""
    drafts: int = 0
    first: int | None = None
    """The difficulty of the first draft that was labelled; None where none was."""
    refinement: Refinement = ""
    overruled: bool = False
    """Whether the draws agreed on another answer than the writer's."""

    @property
    def keys(self) -> tuple[str, ...]:
        """The ledger keys of all its asks, each once."""
        return tuple(dict.fromkeys(key for answer in self.answers for key in answer.keys))
