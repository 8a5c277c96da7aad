"""The environment as the engine of a role sees it: how it is reached, and with which key.

An engine reads its URL, key and patience from variables such as ``MASHBILL_ENGINE_URL``. A bill with several engines
gives each role variables of its own, with the role before a double underscore::

    MASHBILL_ENGINE_URL=http://127.0.0.1:8000/v1             # the main engine
    MASHBILL_JUDGE__ENGINE_URL=https://judge.example/v1      # the engine that the bill names engines.judge
    MASHBILL_JUDGE__API_KEY=...                              # its key

What a role does not set it shares with the main engine; but a role with a URL of its own never gets the main engine's
``MASHBILL_API_KEY``, which belongs to another server.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path

from mashbill.errors import SettingsError

_ROOT: ContextVar[str] = ContextVar("root of the run", default="")
_ROLE: ContextVar[str] = ContextVar("engine role", default="")
_PREFIX, _BETWEEN = "MASHBILL_", "__"
_URL = "MASHBILL_ENGINE_URL"
_KEYS = ("MASHBILL_API_KEY", "MASHBILL_API_KEY_NAMES")


@contextlib.contextmanager
def engine_role(role: str) -> Iterator[None]:
    """Engines that are built inside the block read the variables of this role; none is the main engine's."""
    token = _ROLE.set(role)
    try:
        yield
    finally:
        _ROLE.reset(token)


@contextlib.contextmanager
def engine_root(root: Path) -> Iterator[None]:
    """Engines that are built inside the block find this root as ``MASHBILL_ROOT``, wherever it was named."""
    token = _ROOT.set(str(root))
    try:
        yield
    finally:
        _ROOT.reset(token)


def engine_environ(environ: Mapping[str, str] | None = None) -> Mapping[str, str]:
    """The environment for the engine that is being built.

    >>> with engine_role("judge"):
    ...     found = engine_environ({"MASHBILL_JUDGE__ENGINE_URL": "http://b", "MASHBILL_API_KEY": "for-a"})
    >>> found["MASHBILL_ENGINE_URL"], "MASHBILL_API_KEY" in found
    ('http://b', False)
    """
    env = os.environ if environ is None else environ
    if root := _ROOT.get():
        env = {**env, "MASHBILL_ROOT": root}
    role = _ROLE.get()
    if not role:
        return env
    prefix = f"{_PREFIX}{role.upper().replace('-', '_').replace('.', '_')}{_BETWEEN}"
    own = {_PREFIX + name.removeprefix(prefix): value for name, value in env.items() if name.startswith(prefix)}
    shared = {name: value for name, value in env.items() if not (_URL in own and name in _KEYS)}
    return {**shared, **own}


def env_number(env: Mapping[str, str], name: str, default: float, *, least: float) -> float:
    """A number in the environment, or its default where there is none.

    >>> env_number({"MASHBILL_ENGINE_TIMEOUT": "30"}, "MASHBILL_ENGINE_TIMEOUT", 600.0, least=0.001)
    30.0

    Raises:
        SettingsError: for what is no number, or too small a one.
    """
    text = env.get(name, "").strip()
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not least <= value < float("inf"):
        raise SettingsError(f"{name} is {text!r}, wanted a number of at least {least:g}; mend or unset it")
    return value
