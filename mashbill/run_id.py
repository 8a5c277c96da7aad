"""The id of a run: when it began, and four characters that two runs of one second do not share.

>>> import datetime
>>> run_id_of(datetime.datetime(2026, 12, 1, 4, 15, tzinfo=datetime.UTC), 0x7F3A)
'20261201-041500-7f3a'

Ids sort by time. They name a run in the lock file, in its record and its log under ``run-log``, and in messages; they
are in nothing that is made, so two runs of one bill still give the same bytes.
"""

from __future__ import annotations

import datetime
import re
import secrets

_RUN_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{4}")


def run_id_of(began: datetime.datetime, salt: int) -> str:
    """The id of a run that began then (UTC is written); of `salt` the lowest 16 bits."""
    return f"{began.astimezone(datetime.UTC):%Y%m%d-%H%M%S}-{salt & 0xFFFF:04x}"


def new_run_id() -> str:
    """An id for a run that begins now, e.g. ``20261201-041500-7f3a``."""
    return run_id_of(datetime.datetime.now(datetime.UTC), secrets.randbits(16))


def is_run_id(text: str) -> bool:
    """Whether a text is the id of a run.

    >>> is_run_id("20261201-041500-7f3a"), is_run_id("tolvarey")
    (True, False)
    """
    return _RUN_ID.fullmatch(text) is not None
