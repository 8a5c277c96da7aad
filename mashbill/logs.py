"""What a run says as it goes, through the standard `logging`: where a line comes from is known from the context.

    log = logs.logger("engine")
    log.warning("%s answers 429; waits %.1f s", endpoint.name, pause)

gives, in the log of a run (`flows.run_log`)::

    {"time": "2026-12-01T04:15:02.113Z", "level": "warning", "run": "20261201-041500-7f3a", "step": "entigraph",
     "record": "6f1c…", "ask": "c3f0…", "from": "engine", "message": "127.0.0.1:8000 answers 429; waits 0.5 s"}

Every logger here lies below ``mashbill``, and is silent until somebody adds a handler. No line holds a prompt, a reply,
a key or a URL's credentials: a line names a record or an ask by its id, and `mashbill trace` shows what they hold.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from contextvars import ContextVar

RUN: ContextVar[str] = ContextVar("run", default="")
"""The id of the run that the code around us belongs to."""
WHERE: ContextVar[tuple[str, str]] = ContextVar("where", default=("", ""))
"""The step and the id of the record that the code around us works on."""
ASK: ContextVar[str] = ContextVar("ask", default="")
"""The ledger key of the ask that is being answered."""

# Without it Python itself would print warnings of loggers that nobody listens to.
logging.getLogger("mashbill").addHandler(logging.NullHandler())


def logger(name: str) -> logging.Logger:
    """The logger of a part of the program: ``engine``, ``step``, ``run`` and so on."""
    return logging.getLogger(f"mashbill.{name}")


@contextlib.contextmanager
def of_run(run: str) -> Iterator[None]:
    """What is done inside belongs to this run."""
    token = RUN.set(run)
    try:
        yield
    finally:
        RUN.reset(token)


class Placed(logging.Filter):
    """Puts run, step, record and ask on each line, from the context of the coroutine or thread that logs it.

    What the call gives as ``extra`` stays.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Add what is missing; never refuses a line."""
        step, row = WHERE.get()
        found = {"run": RUN.get(), "step": step, "record": row, "ask": ASK.get()}
        for name, value in found.items():
            if not hasattr(record, name):
                setattr(record, name, value)
        return True
