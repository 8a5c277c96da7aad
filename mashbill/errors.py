"""Every exception Mashbill raises, in one tree.

::

    MashbillError
    ├── UserError              the user can mend it; the command line prints it without a traceback (exit 2)
    │   ├── BillError          the bill (YAML) is wrong: file, line, what was wanted
    │   ├── InputError         a source file is missing, empty, broken: file, line
    │   ├── RegistryError      no step or engine of that name, or two of one name
    │   ├── ChainError         steps that do not fit together
    │   ├── PrefectDown        nobody answers at the Prefect server that was named
    │   ├── SettingsError      an environment variable or the settings file is wrong
    │   ├── StoreError         a stored step is absent, unfinished or does not match
    │   │   ├── AlreadyRunning   another run of the bill is at work under the root; trying again later helps
    │   │   └── NothingLeft      a step of a stream left no row
    │   ├── FingerprintError   a value that has no stable bytes
    │   ├── TooManyRejects     the reject policy stopped the run
    │   ├── GateFailed         a measured figure is beyond the limit that a step names
    │   ├── ProxyError         judged rows from which no proxy can be fitted, or one that agrees too little
    │   └── BudgetError        a budget that means nothing, cannot be reckoned, or is too small for one row
    ├── EngineError            the model end
    │   ├── EngineRefused      it answers, but will not serve us (401, 403, 404): retrying is useless
    │   │   └── RequestRefused   the model cannot serve this one request (too long); becomes a reject row
    │   ├── EngineDown         it does not answer, after all retries
    │   └── EngineGarbage      it answers with something that is not a completion
    ├── LedgerError            the reply store cannot be opened or written
    │   └── NotKept            it has no reply to what a replay asks
    ├── StepFailed             a bug in a step: any other exception, with the record's id
    ├── Interrupted            the run was asked to stop; what was in flight is in the ledger
    ├── Unanswered             an ask without a reply that a later run may get: its record is left for that run
    │   ├── OverBudget         it was not sent, since the budget was spent
    │   └── RequestFailed      the endpoint failed it on every try, and serves others
    └── BadReply               a reply that cannot be used; always becomes a reject row, never ends a run

A message says what was found, what was wanted, and what to do.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mashbill.records import Score, Verdict


class MashbillError(Exception):
    """The root: catching it catches everything Mashbill raises on purpose."""

    logged: str = ""
    """What a log may keep of it, where its message quotes a prompt, a reply or a text; empty keeps the message."""

    def for_log(self) -> str:
        r"""Its type with what a log may keep: of a message of several lines the first, since the end of a log follows.

        >>> EngineDown("the server ended; its log ends:\nprompt: Who was Ora Venn?").for_log()
        'EngineDown: the server ended; its log ends:'
        """
        said = (self.logged or str(self)).strip().splitlines()
        return f"{type(self).__name__}: {said[0] if said else ''}"


class UserError(MashbillError):
    """Something the user can mend; shown without a traceback."""


class _Located(UserError):
    """An error at a place in a file.

    >>> str(InputError("not UTF-8", path="a.txt", line=3))
    'a.txt:3: not UTF-8'
    """

    def __init__(self, message: str, *, path: Path | str | None = None, line: int | None = None) -> None:
        where = "" if path is None else f"{path}: " if line is None else f"{path}:{line}: "
        super().__init__(where + message)
        self.path = None if path is None else Path(path)
        self.line = line


class BillError(_Located):
    """The bill is wrong; carries its file and line."""


class InputError(_Located):
    """A source file is missing, empty or broken; carries its file and line."""


class RegistryError(UserError):
    """No step of that name, or two that claim it."""


class ChainError(UserError):
    """One step writes what the next cannot read."""


class SettingsError(UserError):
    """How to run was said wrongly: an environment variable or the settings file."""


class PrefectDown(UserError):
    """Nobody answers at the Prefect server that the user named; everything can be done without it."""


class StoreError(UserError):
    """A stored step is absent, unfinished, or not the one expected."""


class AlreadyRunning(StoreError):
    """Another run of the same bill is at work under the root: nothing is wrong, it is too early."""


class NothingLeft(StoreError):
    """A step of a stream left no row."""


class FingerprintError(UserError):
    """A value without stable bytes was offered as identity."""


class TooManyRejects(UserError):
    """More rows were rejected than the policy allows."""


class GateFailed(UserError):
    """A measured figure is beyond the limit that a step names."""


class ProxyError(UserError):
    """Judged rows from which no proxy can be fitted, or a proxy that agrees with its judge less than was asked."""


class BudgetError(UserError):
    """A budget that means nothing, that no price makes reckonable, or that is too small for one row."""


class EngineError(MashbillError):
    """The model end failed."""


class EngineRefused(EngineError):
    """The engine answers but will not serve: wrong key, wrong model name, malformed request."""


class RequestRefused(EngineRefused):
    """The model cannot serve this one request, and others may go on: it is longer than the model's own context.

    Only for what the engine's identity decides: it becomes a reject row, and rows outlive a server's settings.
    An engine raises it after it has yielded the replies to all other requests of the call.
    """


class EngineDown(EngineError):
    """The engine does not answer, after every retry."""


class EngineGarbage(EngineError):
    """The engine answered with something that is not a completion, after every retry."""


class LedgerError(MashbillError):
    """The reply store cannot be opened, read or written."""


class NotKept(LedgerError):
    """The ledger has no reply to what a replay asks."""


class StepFailed(MashbillError):
    """A bug in a step; the cause is chained and the record's id is in the message."""


class Interrupted(MashbillError):
    """The run was asked to stop; what was in flight is in the ledger."""


class Unanswered(MashbillError):
    """An ask that got no reply in this run and may get one in another: nothing is said against the record.

    It is no `BadReply`: a step that makes do with fewer draws must not take it for a bad draw, or a vote would be
    counted over what there was money for. The record becomes a reject whose reason is `state`, and the step is stored
    as a *partial* one (see `mashbill.partial`), so a later run asks for what is missing.
    """

    state = "unanswered"
    """The reject's reason."""


class OverBudget(Unanswered):
    """Not sent: the budget was spent before its turn came."""

    state = "over_budget"


class RequestFailed(Unanswered):
    """The endpoint failed this one request on every try, and serves others.

    What a server does today says nothing of the request, so the next run asks again. An engine raises it after it has
    yielded the replies to all other requests of the call.
    """

    state = "provider_error"


class BadReply(MashbillError):
    """A reply that cannot be used.

    Raised inside a generator's `make`; the runtime turns it into a reject row whose `reason` is countable.

    >>> BadReply("truncated", "512 tokens and no end").reason
    'truncated'
    """

    def __init__(
        self,
        reason: str,
        detail: str = "",
        *,
        text: str = "",
        asks: tuple[str, ...] = (),
        subjects: tuple[str, ...] = (),
        verdicts: tuple[Verdict, ...] = (),
        scores: tuple[Score, ...] = (),
    ) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail
        self.text = text
        """The reply itself, kept so that the reject row can be read."""
        self.asks = asks
        self.subjects = subjects
        self.verdicts = verdicts
        """What each check said of it: how often graders agree can be told only with what they refused."""
        self.scores = scores
        """What was measured of a record that is refused for it."""


def only_unanswered(error: BaseException) -> Unanswered | None:
    """The `Unanswered` that an error is, or that a group of errors holds and nothing else; None for any other."""
    if isinstance(error, BaseExceptionGroup):
        found = [only_unanswered(one) for one in error.exceptions]
        return found[0] if all(one is not None for one in found) else None
    return error if isinstance(error, Unanswered) else None
