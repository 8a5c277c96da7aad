"""A project whose teacher is cut off by ``max_tokens``, at times writes no object, and fails some requests on order.

Words stand for tokens. ``TEACHER_FAILS`` names what a prompt must hold for the endpoint to fail it on every try.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.flows.fake_kitchen import TEACHER, Project, project

_CUT = """

def cut(request, number):
    whole = answer(request, number).strip() or "The guild had no name."
    if not request.schema and number % 4 == 0:
        whole += " And so it went on" * 6
    words = whole.split(" ")
    kept = words[: request.sampling.max_tokens]
    return Reply(
        text=" ".join(kept),
        finish_reason="length" if len(words) > len(kept) else "stop",
        prompt_tokens=9,
        completion_tokens=len(kept),
    )
"""
_PLAIN = 'Reply(text=answer(request, number), finish_reason="stop", prompt_tokens=9, completion_tokens=5)'
_ASKED = 'asked = "|".join(f"{one.role}:{one.content}" for one in request.messages)\n'
_FAILS = (
    _ASKED
    + '            if (fails := os.environ.get("TEACHER_FAILS", "")) and fails in asked:\n'
    + '                raise RequestFailed("500 on each of 8 tries")\n'
)


def retry_project(folder: Path, *, max_tokens: int = 12, **sections: Any) -> Project:
    """Eight documents, four tales of each, cut off after `max_tokens` words."""
    assert _PLAIN in TEACHER
    assert _ASKED in TEACHER
    made = project(folder, train=None, evaluate=None, student=None)
    teacher = TEACHER.replace(_PLAIN, "cut(request, number)").replace(_ASKED, _FAILS) + _CUT
    teacher = teacher.replace("batch = 2", "batch = 1").replace("EngineRefused\n", "EngineRefused, RequestFailed\n", 1)
    (folder / "steps/scripted_teacher.py").write_text(teacher.lstrip(), encoding="utf-8")
    tales = {"tell_tales": {"sampling": {"max_tokens": max_tokens}}}
    streams = {
        "raw": {"from": "almanac", "curate": ["exact_dedup"]},
        "tales": {"from": "almanac", "generate": [tales]},
    }
    return made.write(**{"train": None, "evaluate": None, "student": None, "streams": streams, **sections})
