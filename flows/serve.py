"""``mashbill serve``: a bill's refresh at set times, by Prefect.

    $ mashbill serve tolvarey.yaml --cron "0 3 * * *"

Each time the flow `flows.scheduled` runs in a process of its own. The server is the user's (`PREFECT_API_URL`), or one
of this command's, which ends with it and keeps its history under the root.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from mashbill.errors import UserError
from mashbill.settings import Settings

if TYPE_CHECKING:
    from prefect.schedules import Schedule

AT_ONCE = 2
"""Runs that are started at once: one that works, and one that finds it at work and says so."""
_SPAN = re.compile(r"(\d+)\s*(s|m|h|d)?")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def span(said: str) -> timedelta:
    """A span of time as ``90``, ``90s``, ``15m``, ``2h`` or ``1d``.

    >>> span("15m")
    datetime.timedelta(seconds=900)

    Raises:
        UserError: for anything else, and for none.
    """
    found = _SPAN.fullmatch(said.strip())
    if not found or not int(found[1]):
        raise UserError(f"--interval is {said!r}; wanted a span as 90s, 15m, 2h or 1d")
    return timedelta(seconds=int(found[1]) * _SECONDS[found[2] or "s"])


def here() -> str:
    """The name of the machine's time zone: cron's own times are local too.

    >>> bool(ZoneInfo(here()))
    True
    """
    linked = Path("/etc/localtime").resolve().as_posix()
    named = [os.environ.get("TZ", "").lstrip(":"), linked.partition("zoneinfo/")[2]]
    return next((name for name in named if name and _is_zone(name)), "UTC")


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True


def schedule_of(cron: str, interval: str, zone: str) -> Schedule:
    """When the flow is to start.

    Raises:
        UserError: when neither or both are given, or one cannot be read.
    """
    if bool(cron) == bool(interval):
        raise UserError('give one of --cron "0 3 * * *" and --interval 15m')
    zone = zone or here()
    if not _is_zone(zone):
        raise UserError(f"--timezone is {zone!r}; wanted a name as Europe/Berlin or UTC")
    if interval:
        from prefect.schedules import Interval

        return Interval(span(interval), timezone=zone)
    from prefect.client.schemas.schedules import CronSchedule
    from prefect.schedules import Cron

    try:
        CronSchedule(cron=cron, timezone=zone)
    except ValueError as error:
        raise UserError(f"--cron is {cron!r}, which is no cron line; wanted five fields, as 0 3 * * *") from error
    return Cron(cron, timezone=zone)


def serve_bill(
    path: Path,
    settings: Settings,
    say: Callable[[str], None],
    *,
    cron: str = "",
    interval: str = "",
    zone: str = "",
) -> None:
    """Start a bill's refresh at set times, until it is stopped; `say` is told when it begins and where to watch.

    Raises:
        UserError: for a wrong bill or time.
        PrefectDown: when nobody answers at the user's server.
    """
    from flows.prefect_server import prefect_home, prefect_server
    from flows.run_bill import checked_bill

    bill = checked_bill(path, settings)
    prefect_home(settings.root)
    schedule = schedule_of(cron, interval, zone)
    with prefect_server(settings.root, schedules=True):
        from prefect.settings import get_current_settings

        from flows.scheduled import scheduled

        when = f'at "{cron}" ({schedule.timezone})' if cron else f"every {interval}"
        say(f"{bill.name} is refreshed {when}, by {get_current_settings().api.url}; Ctrl-C ends that")
        scheduled.serve(
            name=bill.name,
            schedule=schedule,
            parameters={"bill": str(path.resolve()), "root": str(settings.root.resolve())},
            limit=AT_ONCE,
            print_starting_message=False,
        )
