"""How it runs: where things are stored, how much at once. None of it is identity.

Environment variables win over ``mashbill.toml`` in the working directory (or the file `MASHBILL_SETTINGS` names):

    root = "runs"                  # MASHBILL_ROOT
    records_in_flight = 64         # MASHBILL_RECORDS_IN_FLIGHT
    prices = "prices.toml"         # what engines charge, beside this file; --prices

    [env]                          # set for the run, unless the environment has them: engines read these
    MASHBILL_ENGINE_URL = "http://127.0.0.1:8000/v1"

    [hardware]                     # how students are trained: the fields of train.hardware.Hardware
    micro_batch = 4

A key never stands in a file: a name under ``[env]`` that looks like one is refused.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mashbill.errors import SettingsError
from mashbill.limits import Limits
from mashbill.registry import nearest
from mashbill.section import Section

# TOKENIZERS_PARALLELISM is a setting many people have.
_SECRET = re.compile(r"KEY|TOKEN(?!IZ)|SECRET|PASSWORD|CREDENTIAL", re.IGNORECASE)
_FIELDS = ("root", "records_in_flight", "prices", "env", "hardware")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a run is carried out."""

    root: Path = Path("runs")
    """Stored steps, the ledger, releases and students lie under it."""
    records_in_flight: int = 64
    """Records whose coroutines are driven at once."""
    file: Path = Path("mashbill.toml")
    tables: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Tables for packages above the kernel, such as ``[hardware]``."""
    replies: Path | None = None
    """Another ledger than the root's own: for what is rebuilt from the replies of an earlier run."""
    account: str = ""
    """What a run's spending is entered on in the ledger; empty is the bill's name."""
    budget: Limits = field(default_factory=Limits)
    """The most that the account may spend, earlier runs included."""
    prices: Path | None = None
    """The file of prices; see `mashbill.prices`."""
    log_level: str = ""
    """What of a run's log is kept and shown: ``debug``, ``info``, ``warning`` or ``error``; empty keeps ``info`` and
    shows nothing."""

    def section(self, name: str) -> Section:
        """A table of the file, to be built into the dataclass of whoever knows it."""
        return Section(dict(self.tables.get(name, {})), self.file, (name,))

    @property
    def ledger(self) -> Path:
        """The reply store; one for all bills under a root."""
        return self.replies or self.root / "ledger.sqlite"

    @classmethod
    def load(cls, environ: MutableMapping[str, str] | None = None, folder: Path | None = None) -> Settings:
        """Read the file, then the environment; variables under ``[env]`` are set where they are not yet.

        Raises:
            SettingsError: for a file that cannot be read, an unknown or wrong setting, or a key in the file.
        """
        env = os.environ if environ is None else environ
        named = env.get("MASHBILL_SETTINGS")
        file = Path(named) if named else (folder or Path()) / "mashbill.toml"
        said = _file(file, required=bool(named))
        variables = _variables(said, file)
        settings = cls(
            root=_root(env, variables, said, file),
            records_in_flight=_records_in_flight(env, variables, said, file),
            file=file,
            prices=_prices(said, file),
            log_level=env.get("MASHBILL_LOG_LEVEL", ""),
            tables={name: _table(said, name, file) for name in said if name == "hardware"},
        )
        # Last: what is refused sets nothing.
        for name, value in variables.items():
            env.setdefault(name, value)
        return settings


def _file(path: Path, *, required: bool) -> Mapping[str, Any]:
    if not path.is_file():
        if required:
            raise SettingsError(f"{path}: no such file; MASHBILL_SETTINGS must name a settings file (TOML)")
        return {}
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: is not valid TOML: {error}") from error
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}; check its permissions") from error
    for name in said:
        if name not in _FIELDS:
            known = ", ".join(_FIELDS)
            raise SettingsError(f"{path}: unknown setting {name!r}{nearest(name, _FIELDS)}; it takes {known}")
    return said


def _table(said: Mapping[str, Any], name: str, path: Path) -> Mapping[str, Any]:
    table = said.get(name, {})
    if not isinstance(table, Mapping):
        raise SettingsError(f"{path}: {name} must be a table, [{name}] and one setting a line; found {table!r}")
    return table


def _variables(said: Mapping[str, Any], path: Path) -> dict[str, str]:
    table = _table(said, "env", path)
    for name, value in table.items():
        if _SECRET.search(name) and name != "MASHBILL_API_KEY_NAMES":
            raise SettingsError(f"{path}: {name} looks like a key; keys come from the environment, never from a file")
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise SettingsError(f"{path}: {name} must be text or a number, as variables are; found {value!r}: quote it")
    return {name: str(value) for name, value in table.items()}


def _root(env: Mapping[str, str], variables: Mapping[str, str], said: Mapping[str, Any], path: Path) -> Path:
    value = env.get("MASHBILL_ROOT") or variables.get("MASHBILL_ROOT") or said.get("root", str(Settings.root))
    if not isinstance(value, str) or not value:
        raise SettingsError(f"{path}: root is {value!r}; wanted the path of a folder, in quotes")
    return Path(value)


def _prices(said: Mapping[str, Any], path: Path) -> Path | None:
    value = said.get("prices")
    if value is None:
        return None
    if not isinstance(value, str) or not value:
        raise SettingsError(f"{path}: prices is {value!r}; wanted the path of a price file, in quotes")
    return path.parent / value


def _records_in_flight(
    env: Mapping[str, str], variables: Mapping[str, str], said: Mapping[str, Any], path: Path
) -> int:
    name = "MASHBILL_RECORDS_IN_FLIGHT"
    places = {name: env.get(name), f"{path}: {name}": variables.get(name)}
    for where, value in places.items():
        if value:
            return _positive(where, value)
    return _positive(f"{path}: records_in_flight", said.get("records_in_flight", Settings.records_in_flight))


def _positive(name: str, value: object) -> int:
    try:
        number = int(str(value))
    except ValueError:
        number = 0
    if number < 1:
        raise SettingsError(f"{name} is {value!r}; wanted a whole number of at least 1")
    return number
