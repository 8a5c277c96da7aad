"""Partial steps: what a run made of a step before its budget was spent, stored under a fingerprint of its own.

A part in which a record was not answered is written aside, in the folder of the whole step::

    entigraph/5f0c…/part-00000.parquet           whole: a later run takes it as it is
    entigraph/5f0c…/unanswered/part-00001.parquet

and at the end of the step all parts are stored beside, whole ones linked and not copied::

    entigraph/91aa…/part-00000.parquet, part-00001.parquet, rejects/…, manifest.json

The fingerprint is made of the whole step's and of what is in the parts, so what is made of a partial step has
fingerprints of its own, and the whole step's folder stays unfinished: a run with more money makes it from the ledger,
with the bytes of a run that never had a budget. The same replies make the same partial step.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from mashbill.errors import StoreError
from mashbill.fingerprint import fingerprint
from mashbill.store import PartEntry

ASIDE = "unanswered"
"""The folder, in a step's own, of the parts that a later run makes again."""
PARTIAL = "partial"
"""The name in a manifest's identity: ``{"of": fingerprint, "records": 12, "over_budget": 3}``."""


def partial_digest(whole: str, parts: Sequence[PartEntry]) -> str:
    """The fingerprint of a partial step."""
    return fingerprint((PARTIAL, whole, [(part.name, part.sha256, part.rejects_sha256) for part in parts]))


def partial_identity(whole: str, records: int, lacking: Mapping[str, int]) -> dict[str, Any]:
    """What a manifest's identity says of it: of which step, of how many records read, and how many lack by state."""
    return {PARTIAL: {"of": whole, "records": records, **dict(sorted(lacking.items()))}}


def lacking_of(identity: Mapping[str, Any]) -> Mapping[str, int]:
    """State -> records that were not answered in a stored step; nothing for a whole one.

    >>> lacking_of({"steps": [], "partial": {"of": "5f0c", "records": 12, "over_budget": 3}})
    {'over_budget': 3}
    """
    said = identity.get(PARTIAL, {})
    return {name: count for name, count in said.items() if name not in ("of", "records")}


def whole_of(identity: Mapping[str, Any]) -> str:
    """The fingerprint of the step that a partial one is a part of; nothing for a whole one.

    >>> whole_of({"steps": [], "partial": {"of": "5f0c", "records": 12, "over_budget": 3}}), whole_of({"steps": []})
    ('5f0c', '')
    """
    return str(identity.get(PARTIAL, {}).get("of", ""))


def partial_sentence(records: int, lacking: Mapping[str, int], *, of_records: bool = True) -> str:
    """For the card; without `of_records` what lacks is no record that was read, but what the step set out to make.

    >>> partial_sentence(12, {"over_budget": 3})
    'stopped by its budget: 3 of 12 records not asked to the end'
    """
    why = {"over_budget": "stopped by its budget", "provider_error": "stopped by errors of the provider"}
    said = []
    for state, count in sorted(lacking.items()):
        what = f"{count:,} of {records:,} records" if of_records else f"{some(count)} it set out to make"
        said.append(f"{why.get(state, state)}: {what} not asked to the end")
    return "; ".join(said)


def some(count: int) -> str:
    """A number of rows or drafts.

    >>> some(1), some(1200)
    ('1 thing', '1,200 things')
    """
    return f"{count:,} thing{'' if count == 1 else 's'}"


def lacking_in(counts: Sequence[Counter[str]]) -> Counter[str]:
    """The records that lack in several parts together."""
    return sum(counts, Counter())


def share_parts(base: Path, place: Path, names: Sequence[str], aside: Collection[str], *, link: bool) -> None:
    """Put the parts of these names into `place`: those aside are moved.

    The others lie in `base` itself: with `link` they are linked (copied where links are not had), since a later run
    takes them as they are; without, they are moved too.

    Raises:
        StoreError: when the disk is full or the place cannot be written.
    """
    try:
        for folder in ("rejects", "."):
            (place / folder).mkdir(parents=True, exist_ok=True)
            for name in names:
                target = place / folder / name
                if name in aside:
                    (base / ASIDE / folder / name).replace(target)
                elif link:
                    _link(base / folder / name, target)
                else:
                    (base / folder / name).replace(target)
    except OSError as error:
        raise StoreError(
            f"{place}: cannot write: {error.strerror or error}; free some space or mend the permissions, and run the "
            "same command again"
        ) from error


def _link(kept: Path, target: Path) -> None:
    target.unlink(missing_ok=True)  # of a run that was killed here
    try:
        os.link(kept, target)
    except OSError:  # a file system without hard links
        beside = target.with_name(f".{target.name}.copy")
        shutil.copyfile(kept, beside)
        beside.replace(target)
