"""How an openai engine uses a provider's batch endpoint: limits, window, patience. None of it is identity.

>>> BatchRun.from_env({"MASHBILL_ENGINE_BATCH": "1", "MASHBILL_ROOT": "runs"})
BatchRun(folder=PosixPath('runs/batches'), requests=50000, megabytes=200.0, window='24h', ...)
>>> BatchRun.from_env({}) is None
True
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mashbill.engine_env import env_number
from mashbill.errors import SettingsError

BATCH_VARIABLE: Final = "MASHBILL_ENGINE_BATCH"
_YES, _NO = ("1", "true", "yes", "on"), ("", "0", "false", "no", "off")


@dataclass(frozen=True, kw_only=True)
class BatchRun:
    """How requests are collected into batches and how patiently their replies are waited for."""

    folder: Path = Path("runs/batches")
    """Where the batches under way are written down, with what was sent and what came back."""
    requests: int = 50_000
    """The most requests in one batch; OpenAI's limit."""
    megabytes: float = 200.0
    """The largest input file, in millions of bytes; OpenAI's limit."""
    window: str = "24h"
    """The provider's `completion_window`; OpenAI takes no other."""
    poll: float = 60.0
    """The longest pause between two looks at a batch, in seconds; the first is a twelfth of it, and each half as long
    again."""
    under_way: int = 8
    """The most batches under way at once: what waits at the provider counts against its limit of enqueued tokens."""
    linger: float = 2.0
    """Seconds without a new request after which a batch that is not full is sent. Replies take minutes at best, and a
    batch that is sent too early makes another for the rest."""
    tries: int = 3
    """Batches that one request may be in before it counts as failed: expired, lost and broken lines are asked again."""

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> BatchRun | None:
        """Read the environment; None where batches are not wanted.

        Raises:
            SettingsError: for a variable that cannot be read.
        """
        wanted = env.get(BATCH_VARIABLE, "").strip().lower()
        if wanted in _NO:
            return None
        if wanted not in _YES:
            raise SettingsError(f"{BATCH_VARIABLE} is {wanted!r}; wanted 1 (use the batch endpoint) or 0")
        return cls(
            folder=Path(env.get("MASHBILL_ROOT") or "runs") / "batches",
            requests=int(env_number(env, f"{BATCH_VARIABLE}_REQUESTS", cls.requests, least=1)),
            megabytes=env_number(env, f"{BATCH_VARIABLE}_MEGABYTES", cls.megabytes, least=0.001),
            window=env.get(f"{BATCH_VARIABLE}_WINDOW", "").strip() or cls.window,
            poll=env_number(env, f"{BATCH_VARIABLE}_POLL", cls.poll, least=0.001),
            under_way=int(env_number(env, f"{BATCH_VARIABLE}_UNDER_WAY", cls.under_way, least=1)),
            linger=env_number(env, f"{BATCH_VARIABLE}_LINGER", cls.linger, least=0),
            tries=int(env_number(env, f"{BATCH_VARIABLE}_TRIES", cls.tries, least=1)),
        )

    @property
    def bytes(self) -> int:
        """The largest input file in bytes."""
        return int(self.megabytes * 1_000_000)
