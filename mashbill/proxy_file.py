"""Proxies as files: readable JSON that restores each number exactly, and says with which embedder it goes.

    save_proxy(proxy, Path("discipline.json"))
    load_proxy(Path("discipline.json")).label(["The keeper of a salt works asks …"])     # ['geology']

No pickle: a file from elsewhere runs no code, and a version of a library that is newer reads the same numbers.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from mashbill.disk import write_json
from mashbill.embedding import load_embedder
from mashbill.errors import InputError
from mashbill.logistic import Logistic
from mashbill.proxy import VERSION, Proxy
from mashbill.proxy_report import ProxyReport


class _File(BaseModel):
    """What the file holds."""

    model_config = ConfigDict(extra="forbid")

    format: int
    version: int
    labels: tuple[str, ...]
    ordinal: bool
    weights: list[list[float]]
    offsets: list[float]
    temperature: float
    embedder: str
    embedder_identity: str
    data: str
    report: ProxyReport
    judged: list[list[float]]


def save_proxy(proxy: Proxy, path: Path) -> None:
    """Write a proxy, whole or not at all.

    Raises:
        StoreError: when the place cannot be written.
    """
    whole = _File(
        format=1,
        version=VERSION,
        labels=proxy.labels,
        ordinal=proxy.model.ordinal,
        weights=proxy.model.weights.tolist(),
        offsets=proxy.model.offsets.tolist(),
        temperature=proxy.model.temperature,
        embedder=proxy.embedder,
        embedder_identity=proxy.embedder_identity,
        data=proxy.data,
        report=proxy.report,
        judged=proxy.judged.tolist(),
    )
    write_json(path, whole.model_dump(mode="json"))


def load_proxy(path: Path) -> Proxy:
    """Read a proxy.

    Raises:
        InputError: when it is not there, is no proxy, or goes with another embedder than the one of its name here.
    """
    try:
        whole = _File.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InputError(f"cannot read the proxy: {error.strerror}; save one with save_proxy", path=path) from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(step) for step in first["loc"]) or "the file"
        raise InputError(f"is no proxy that this version reads: {place}: {first['msg']}", path=path) from error
    weights = np.array(whole.weights, dtype=np.float64)
    offsets = np.array(whole.offsets, dtype=np.float64)
    columns = (1, len(whole.labels) - 1) if whole.ordinal else (len(whole.labels), len(whole.labels))
    if whole.version != VERSION or weights.ndim != 2 or (weights.shape[1], len(offsets)) != columns:
        raise InputError(
            f"is of version {whole.version} with weights {weights.shape} for {len(whole.labels)} labels; version "
            f"{VERSION} wants {columns[0]} column(s) and {columns[1]} offset(s): fit it again",
            path=path,
        )
    if (found := load_embedder(whole.embedder).identity) != whole.embedder_identity:
        raise InputError(
            f"was fitted on vectors of {whole.embedder_identity}, and {whole.embedder} is {found} here: fit it again",
            path=path,
        )
    judged = np.array(whole.judged, dtype=np.float64).reshape(-1, len(whole.labels))
    names = {one.name: getattr(whole, one.name) for one in dataclasses.fields(Proxy) if one.name in _File.model_fields}
    return Proxy(**names | {"judged": judged, "model": Logistic(weights, offsets, whole.ordinal, whole.temperature)})
