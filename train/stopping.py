"""SIGTERM as a request: the step that is being taken is finished and stored, and then the run stops.

What stops machines (batch systems, spot instances, orchestrators) sends SIGTERM some seconds before it kills.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType


@contextlib.contextmanager
def asked_to_stop(also: Callable[[], bool] | None = None) -> Iterator[Callable[[], bool]]:
    """Whether SIGTERM came since, or `also` says so; the handler that was there before comes back at the end.

    Only the main thread may take signals: elsewhere whoever runs the thread is asked through `also`.
    """
    came = threading.Event()

    def note(number: int, frame: FrameType | None) -> None:
        del number, frame
        came.set()

    if threading.current_thread() is not threading.main_thread():
        yield lambda: also is not None and also()
        return
    before = signal.signal(signal.SIGTERM, note)
    try:
        yield lambda: came.is_set() or (also is not None and also())
    finally:
        signal.signal(signal.SIGTERM, before)
