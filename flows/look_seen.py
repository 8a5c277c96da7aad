"""``mashbill seen``: the rows of one optimiser step, with where each piece comes from and how it begins."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mashbill.errors import StoreError, UserError
from mashbill.store import MANIFEST
from train.plan_manifest import PlanManifest
from train.result import MODEL, TrainResult

if TYPE_CHECKING:
    from train.tokenizer import StudentTokenizer

SHOWN = 60
"""Characters of a piece's text."""


def render_seen(run: str, step: int, root: Path) -> str:
    """The table of one step; `run` is a plan, a student, or the name of an arm's folder (``salt-entigraph``)."""
    from mashbill.card import table
    from train.seen import seen_at

    plan = plan_of(run, root)
    tokenizer = _tokenizer(plan, root)
    rows = []
    for one in seen_at(plan, step):
        where = f"{one.start:,}–{one.start + len(one.tokens) - 1:,}"
        known = [one.row, one.stream, one.record_id[:8], one.domain, one.epoch, where, one.given]
        rows.append([*known, *([] if tokenizer is None else [_beginning(tokenizer, one.tokens)])])
    heads = ["row", "stream", "record", "domain", "epoch", "tokens", "not learned"]
    manifest = PlanManifest.read(plan)
    text = [] if tokenizer is None else ["text"]
    return f"step {step:,} of {manifest.steps:,} of {plan}\n\n{table([*heads, *text], rows)}"


def plan_of(run: str, root: Path) -> Path:
    """The plan that something was trained on.

    Raises:
        UserError: when nothing of that name was planned, or several things were.
    """
    path = Path(run)
    if (path / MANIFEST).is_file():
        return path
    finished = TrainResult.read(path) if path.is_dir() else None
    if finished is not None:
        return _with_hash(finished.run["plan"], root)
    plans = sorted(found.parent for found in (root / "plans").glob(f"{run}/*/{MANIFEST}"))
    if len(plans) == 1:
        return plans[0]
    if plans:
        listed = ", ".join(str(one) for one in plans)
        raise UserError(f"{run}: has {len(plans)} plans; say which one: {listed}")
    known = ", ".join(sorted(one.name for one in (root / "plans").glob("*"))) or "none"
    raise UserError(
        f"{run}: is no plan, no finished student, and nothing was planned under that name in {root}; planned: {known}"
    )


def _with_hash(wanted: str, root: Path) -> Path:
    for found in sorted((root / "plans").glob(f"*/*/{MANIFEST}")):
        if PlanManifest.read(found.parent).hash == wanted:
            return found.parent
    raise StoreError(f"{root}: the plan {wanted} of this student is not there any more; run the bill again")


def _tokenizer(plan: Path, root: Path) -> StudentTokenizer | None:
    """That of a finished student that was trained on the plan; without one there is no text to show."""
    wanted = PlanManifest.read(plan).hash
    for folder in sorted((root / "students").glob("*/*")):
        result = TrainResult.read(folder)
        if result is not None and result.run["plan"] == wanted and (folder / MODEL).is_dir():
            from train.tokenizer import load_tokenizer

            return load_tokenizer(folder / MODEL)
    return None


def _beginning(tokenizer: StudentTokenizer, tokens: tuple[int, ...]) -> str:
    text = " ".join(tokenizer.decode(list(tokens[: 2 * SHOWN])).split())
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
