"""What ``mashbill tcia`` prints.

$ mashbill tcia show instruction_database "meeting summary" -n 1
meeting summary: 3 tasks of 2 types, 3 queries, 5 constraints (1.67 for each query)

6f1c09ab22d1  Summarise the meeting.  (summary of meetings, seed_tasks.jsonl:7)
  language     in French
  content      name each speaker
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.text import Text

from flows.terminal import console, excerpt, grid, number, short, some
from mashbill.errors import StoreError
from mashbill.registry import nearest
from mashbill.store import Stored
from synth.constraint_search import OPERATIONS
from synth.task_database import database_at, tasks_of, type_table


def render_types(place: Path, rows: int) -> None:
    """The kinds of task, those with most tasks first."""
    stored = database_at(place)
    table = type_table(stored)
    out = console()
    out.print(f"{some(int(table['tasks'].sum()), 'task')} in {some(len(table), 'cluster')} of task types")
    shown = (
        (
            excerpt(one["task_cluster"], 60),
            *(number(one[name]) for name in ("types", "tasks", "queries", "constraints")),
            f"{one['constraints_per_query']:.2f}",
        )
        for one in table.head(rows).to_dicts()
    )
    heads = ("cluster", "types", "tasks", "queries", "constraints", "for each query")
    out.print(grid(heads, shown, right=heads[1:]))
    if len(table) > rows:
        out.print(f"and {len(table) - rows:,} more; show them with -n")


def render_tasks(place: Path, kind: str, rows: int) -> None:
    """Tasks of one kind.

    Raises:
        StoreError: when the database has no such kind, with the nearest names.
    """
    stored = database_at(place)
    table = type_table(stored)
    found = [one for one in table.to_dicts() if one["task_cluster"] == kind]
    if not found:
        names = table["task_cluster"].to_list()
        raise StoreError(
            f"{place}: no cluster of task types is called {kind!r}{nearest(kind, names)}; `mashbill tcia types` lists "
            "them"
        )
    (one,) = found
    out = console()
    out.print(
        f"{kind}: {some(one['tasks'], 'task')} of {some(one['types'], 'type')}, {one['queries']:,} "
        f"{'query' if one['queries'] == 1 else 'queries'}, "
        f"{some(one['constraints'], 'constraint')} ({one['constraints_per_query']:.2f} for each query)"
    )
    for task in tasks_of(stored, kind)[:rows]:
        out.print()
        out.print(
            Text(f"{short(task.id)}  {excerpt(task.base_query)}  ({task.task_type}, {task.source or 'no place'})")
        )
        for constraint in task.constraints:
            out.print(Text(f"  {constraint.category:17}  {excerpt(constraint.text, 90)}"))


def render_hops(place: Path) -> None:
    """How a search went, hop by hop.

    Raises:
        StoreError: when the step is no search.
    """
    stored = Stored.open(place)
    notes: dict[str, Any] = stored.manifest.notes
    if stored.manifest.step != "constraint_search":
        raise StoreError(f"{place}: is a step of {stored.manifest.step}; name one of constraint_search")
    out = console()
    ended = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in notes["ended"].items()) or "none ran"
    out.print(
        f"{some(notes['seeds'], 'seed')}: {notes['sets_found']:,} sets found by taking {notes['sets_taken']:,}, "
        f"{notes['sets_sampled']:,} sampled; ended: {ended}"
    )
    if pool := notes["pool_tasks"]:
        constraints = notes["pool_constraints"]
        out.print(f"pool of {_range(pool)} similar tasks with {_range(constraints)} constraints for each seed")
    heads = ("hop", "sets", "sampled", "new", *(f"{name} accepted" for name in OPERATIONS))
    rows = (
        (
            number(one["hop"]),
            number(one["sets"]),
            number(one["sampled"]),
            _share(one["unique_ratio"]),
            *(f"{one[name]['accepted']:,} of {one[name]['tried']:,}" for name in OPERATIONS),
        )
        for one in notes["hops"]
    )
    out.print(grid(heads, rows, right=heads))


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _range(found: dict[str, int]) -> str:
    return f"{found['least']:,}" if found["least"] == found["most"] else f"{found['least']:,} to {found['most']:,}"
