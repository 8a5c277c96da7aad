"""What a judge said of all rows of a step, the rejected ones included.

::

    {"judge": "openai/qwen3-8b", "marks": {"factuality": {"1": 12, "4": 30, "5": 158}},
     "missing": {"factuality": 3}, "same_family": 0}
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from filters.rubric_file import Rubric
from mashbill.model_family import families_of
from mashbill.roles import MAIN
from mashbill.store import Stored


def judge_report(made: Stored, rubric: Rubric, prefix: str, role: str) -> dict[str, Any]:
    """The report of a finished step."""
    identity = made.manifest.engine if role == MAIN else made.manifest.engines[role]
    levels = {rubric.value(level): level for level in rubric.levels}
    marks = {name: Counter[str]() for name in rubric.dimensions}
    rows, family = 0, 0
    own = families_of(identity)
    for table in _tables(made):
        for scores in table.column("scores").to_pylist():
            rows += 1
            found = {one["name"]: one["value"] for one in scores}
            for name, counted in marks.items():
                if (level := levels.get(found.get(f"{prefix}_{name}", -1.0))) is not None:
                    counted[level] += 1
        makers = table.column("made").combine_chunks().field("engine").value_counts() if table.num_rows else []
        family += sum(one["counts"].as_py() for one in makers if own & families_of(one["values"].as_py()))
    missing = sum(rows - counted.total() for counted in marks.values())
    said = f"{rows:,} rows were marked by {identity} by the rubric {rubric.name}; {missing:,} marks are missing."
    return {
        "judge": identity,
        "card": [said],
        "rubric": rubric.name,
        "marks": {
            name: {level: counted[level] for level in rubric.levels if counted[level]}
            for name, counted in marks.items()
        },
        "missing": {name: rows - counted.total() for name, counted in marks.items()},
        "same_family": family,
    }


def _tables(made: Stored) -> Iterator[pa.Table]:
    for index in range(len(made)):
        yield made.table(index, ["scores", "made"])
        yield made.rejects(index, ["scores", "made"])
