"""How a command ends: one line of message, and an exit code that a script can read.

====  =====================================================================
0     done
1     a bug: in a step (with the traceback of its cause) or in Mashbill
2     something the user can mend: the bill, an input, a setting, a name
3     the model end: it does not answer, or refuses
4     the ledger cannot be opened or written
75    another run of the bill is at work under the root; try again later
130   stopped by Ctrl-C; the same command goes on
====  =====================================================================
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from mashbill.errors import AlreadyRunning, BadReply, EngineError, LedgerError, MashbillError, StepFailed, UserError

if TYPE_CHECKING:
    from collections.abc import Callable

BUG, USER, ENGINE, LEDGER, STOPPED = 1, 2, 3, 4, 130
LATER = 75
"""EX_TEMPFAIL of sysexits.h: what cron jobs and mail servers call a failure that passes by itself."""


class Exits(TyperGroup):
    """The group of commands, with every ending turned into a message and a code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; errors raised on purpose become one line, others keep their traceback."""
        return ending_well(lambda: super(Exits, self).invoke(ctx))


def ending_well(command: Callable[[], Any]) -> Any:
    """Run a command and turn how it ends into an exit code."""
    try:
        result = command()
        # Here and not at interpreter exit, where a closed pipe can no longer be caught.
        sys.stdout.flush()
        return result
    except BrokenPipeError:
        _let_go_of_stdout()
        raise typer.Exit(BUG) from None
    except BadReply:
        # It becomes a reject row inside a run; one that gets here is a bug, and its traceback says where.
        raise
    except MashbillError as error:
        raise typer.Exit(_say(error)) from None
    except KeyboardInterrupt:
        typer.echo("stopped", err=True)
        raise typer.Exit(STOPPED) from None


def _say(error: MashbillError) -> int:
    from mashbill.errors import Interrupted

    line = " ".join(str(error).split())
    if isinstance(error, Interrupted):
        typer.echo(f"stopped: to go on, run the same command again ({line})", err=True)
        return STOPPED
    if isinstance(error, StepFailed) and error.__cause__ is not None:
        import traceback

        typer.echo("".join(traceback.format_exception(error.__cause__)).rstrip(), err=True)
    typer.echo(f"error: {line}", err=True)
    codes = {AlreadyRunning: LATER, UserError: USER, EngineError: ENGINE, LedgerError: LEDGER}
    return next((code for kind, code in codes.items() if isinstance(error, kind)), BUG)


def _let_go_of_stdout() -> None:
    """Point stdout at nothing, or the interpreter would complain of the closed pipe once more as it ends."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, sys.stdout.fileno())
    finally:
        os.close(nothing)
