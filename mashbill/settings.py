"""How it runs: where things are stored, how much at once. None of it is identity.

Environment variables win over ``mashbill.toml`` in the working directory (or the file `MASHBILL_SETTINGS` names):

    root = "runs"                  # MASHBILL_ROOT
    records_in_flight = 64         # MASHBILL_RECORDS_IN_FLIGHT

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
from mashbill.registry import nearest
from mashbill.section import Section

_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL", re.IGNORECASE)
_FIELDS = ("root", "records_in_flight", "env", "hardware")


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

    def section(self, name: str) -> Section:
        """A table of the file, to be built into the dataclass of whoever knows it."""
        return Section(dict(self.tables.get(name, {})), self.file, (name,))

    @property
    def ledger(self) -> Path:
        """The reply store; one for all bills under a root."""
        return self.root / "ledger.sqlite"

    @classmethod
    def load(cls, environ: MutableMapping[str, str] | None = None, folder: Path | None = None) -> Settings:
        """Read the file, then the environment; variables under ``[env]`` are set where they are not yet.

        Raises:
            SettingsError: for a file that cannot be read, an unknown or wrong setting, or a key in the file.
        """
        env = os.environ if environ is None else environ
        file = Path(env["MASHBILL_SETTINGS"]) if "MASHBILL_SETTINGS" in env else (folder or Path()) / "mashbill.toml"
        said = _file(file, required="MASHBILL_SETTINGS" in env)
        for name, value in _variables(said, file).items():
            env.setdefault(name, value)
        return cls(
            root=Path(env.get("MASHBILL_ROOT") or str(said.get("root", cls.root))),
            records_in_flight=_positive(
                env.get("MASHBILL_RECORDS_IN_FLIGHT") or said.get("records_in_flight", cls.records_in_flight)
            ),
            file=file,
            tables={name: table for name, table in said.items() if name == "hardware"},
        )


def _file(path: Path, *, required: bool) -> Mapping[str, Any]:
    if not path.is_file():
        if required:
            raise SettingsError(f"{path}: no such file; MASHBILL_SETTINGS must name a settings file (TOML)")
        return {}
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: is not valid TOML: {error}") from error
    for name in said:
        if name not in _FIELDS:
            known = ", ".join(_FIELDS)
            raise SettingsError(f"{path}: unknown setting {name!r}{nearest(name, _FIELDS)}; it takes {known}")
    return said


def _variables(said: Mapping[str, Any], path: Path) -> dict[str, str]:
    table = said.get("env", {})
    if not isinstance(table, Mapping):
        raise SettingsError(f"{path}: [env] must be a table of variables")
    for name in table:
        if _SECRET.search(name) and name != "MASHBILL_API_KEY_NAMES":
            raise SettingsError(f"{path}: {name} looks like a key; keys come from the environment, never from a file")
    return {name: str(value) for name, value in table.items()}


def _positive(value: object) -> int:
    try:
        number = int(str(value))
    except ValueError:
        number = 0
    if number < 1:
        raise SettingsError(f"MASHBILL_RECORDS_IN_FLIGHT is {value!r}; wanted a whole number of at least 1")
    return number
