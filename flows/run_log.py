r"""The log of a run: ``ROOT/run-log/ID.jsonl``, one JSON object a line.

    {"time":"2026-12-01T04:15:02.113Z","level":"info","run":"20261201-041500-7f3a","step":"entigraph","record":"",
     "ask":"","from":"step","message":"begins with 12 records, 0 done before"}

It holds what is said at a level or above (`--log-level`, ``info`` unless told otherwise). On the terminal nothing of it
is shown unless a level is given. A line goes through `scrubbed`, so that what a message of some library quotes (a URL
with a password, a key from the environment) is not in it.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import logging
import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from mashbill.errors import SettingsError, StoreError
from mashbill.logs import Placed, of_run
from mashbill.registry import nearest

LEVELS = ("debug", "info", "warning", "error")
FOLDER = "run-log"
_CREDENTIALS = re.compile(r"(?<=://)[^\s/@]+@")
_BEARER = re.compile(r"(?i)(bearer\s+|authorization:\s*)\S+")
_SECRET_NAME = re.compile(r"KEY|TOKEN(?!IZ)|SECRET|PASSWORD|CREDENTIAL", re.IGNORECASE)
_SHORTEST_SECRET = 6
"""Characters: a shorter value of a variable that is called a key stands in words that are none."""


def level_of(said: str) -> int:
    """The number of a level's name.

    Raises:
        SettingsError: for a name that is none.
    """
    if said.lower() not in LEVELS:
        raise SettingsError(
            f"the log level is {said!r}{nearest(said.lower(), LEVELS)}; wanted one of {', '.join(LEVELS)}"
        )
    return int(logging.getLevelNamesMapping()[said.upper()])


def scrubbed(text: str, environ: Mapping[str, str] | None = None) -> str:
    """A text without credentials: those in URLs, after ``Bearer``, and values of variables that are called keys.

    >>> scrubbed("POST http://ora:venn@10.0.0.7/v1 failed", {})
    'POST http://***@10.0.0.7/v1 failed'
    >>> scrubbed("no such key: sk-4711", {"MASHBILL_API_KEY": "sk-4711"})
    'no such key: ***'
    """
    environ = os.environ if environ is None else environ
    text = _BEARER.sub(r"\1***", _CREDENTIALS.sub("***@", text))
    for name, value in environ.items():
        if len(value) >= _SHORTEST_SECRET and value in text and _SECRET_NAME.search(name):
            text = text.replace(value, "***")
    return text


class JsonLines(logging.Formatter):
    """A line of the log as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """The object's text; an exception by its type alone, since its message may quote a text."""
        when = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        line = {
            "time": f"{when:%Y-%m-%dT%H:%M:%S}.{when.microsecond // 1000:03d}Z",
            "level": record.levelname.lower(),
            **{name: getattr(record, name, "") for name in ("run", "step", "record", "ask")},
            "from": record.name.removeprefix("mashbill."),
            "message": scrubbed(record.getMessage()),
        }
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = record.exc_info[0].__name__
        return json.dumps(line, ensure_ascii=False, separators=(",", ":"))


class _OnTerminal(logging.Handler):
    """Lines for a reader, on what stderr is at that moment: a progress bar puts itself in its place."""

    def emit(self, record: logging.LogRecord) -> None:
        place = " ".join(one for one in (getattr(record, "step", ""), getattr(record, "record", "")[:12]) if one)
        said = scrubbed(record.getMessage())
        print(f"{record.levelname.lower()}: {f'{place}: ' if place else ''}{said}", file=sys.stderr)


class _OfOneRun(Placed):
    """Lines of one run only: a process may have several at work."""

    def __init__(self, run: str) -> None:
        super().__init__()
        self.run = run

    def filter(self, record: logging.LogRecord) -> bool:
        super().filter(record)
        said: str = getattr(record, "run", "")
        record.run = said or self.run
        return said in ("", self.run)


@contextlib.contextmanager
def run_log(root: Path, run: str, level: str = "") -> Iterator[Path]:
    """Log the run inside to its file, and on stderr too where a level is given.

    Raises:
        SettingsError: for a level that is none.
        StoreError: when the file cannot be written.
    """
    least, path = level_of(level or "info"), root / FOLDER / f"{run}.jsonl"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = logging.FileHandler(path, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror}; mend it or take another --root") from error
    file.setFormatter(JsonLines())
    handlers: list[logging.Handler] = [file, *([_OnTerminal()] if level else [])]
    top = logging.getLogger("mashbill")
    before = top.level
    for handler in handlers:
        handler.setLevel(least)
        handler.addFilter(_OfOneRun(run))
        top.addHandler(handler)
    top.setLevel(min(least, before or least))
    try:
        with of_run(run):
            yield path
    finally:
        top.setLevel(before)
        for handler in handlers:
            top.removeHandler(handler)
            handler.close()
