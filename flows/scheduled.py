"""The flow that a schedule starts: one refresh of a bill, a task each for the look, every step and the release.

It can be served (``mashbill serve``), deployed (``prefect.yaml``) or called: it names nothing that cannot be pickled. A
run that begins while another of the bill is at work ends at once as *Skipped*, a kind of cancelled: nothing failed, and
the next one takes the same documents. One that finds nothing ends as *NothingNew*, a kind of completed.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from prefect import State, flow
from prefect.states import Cancelled, Completed

from flows.prefect_tasks import run_step
from flows.refresh_tasks import look, publish_dated, refresh_of
from mashbill.errors import AlreadyRunning, MashbillError
from mashbill.filter_stack import label_of


@flow(name="scheduled", validate_parameters=False)
async def scheduled(bill: str, root: str = "", date: str = "", full: bool = False) -> Any:
    """Where the dated release lies, or a state where there is none: nothing is new, or another run is at work."""
    try:
        async with refresh_of(bill, root=root, date=date, full=full) as one:
            if not await look():
                return told(Completed(name="NothingNew", message=one.nothing_new()))
            for name in one.streams:
                for index, step in enumerate(one.bill.streams[name].steps):
                    await run_step(name, index, label_of(step))
            folder = await publish_dated()
            print(one.told(Path(folder)), flush=True)
            return folder
    except AlreadyRunning as other:
        return told(Cancelled(name="Skipped", message=str(other)))
    except MashbillError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
        raise


def told(state: State[Any]) -> State[Any]:
    """A state whose message whoever serves the flow reads too."""
    print(state.message, flush=True)
    return state
