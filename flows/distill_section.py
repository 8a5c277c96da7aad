"""A bill's ``train.distill``, for all arms, or an arm's own ``distill``: what is learned from a teacher.

::

    train:
      distill: {teacher: {path: models/qwen3-4b}, k: 64, weight: 0.5}
      arms:
        made: {made: 1}                                       # and made-ce: the same plan without the teacher
        drawn: {made: 1, distill: {encoding: sampled}}        # what an arm says stands in place of the bill's
        alone: {made: 1, distill: false}
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from mashbill.bill import Bill
from mashbill.section import Section
from train.distill_spec import Distill, Generic, TeacherSpec
from train.plan import PlanSpec

DISTILL = "distill"
CONTROL = "-ce"
"""What the name of an arm without its teacher ends with."""


def read_distills(section: Section, bill: Bill, plans: Mapping[str, PlanSpec]) -> dict[str, Distill]:
    """Arm -> what it learns from a teacher; arms without one are not in it.

    Raises:
        BillError: with file and line.
    """
    found: dict[str, Distill] = {}
    everywhere = section.value.get(DISTILL)
    for name, plan in plans.items():
        arm = section.at("arms").at(name)
        own = arm.value.get(DISTILL)
        if own is False or (own is None and everywhere is None):
            continue
        place = section.at(DISTILL) if own is None else arm.at(DISTILL)
        fields = {**_mapping(section.at(DISTILL)), **({} if own is None else _mapping(place))}
        found[name] = _distill(dataclasses.replace(place, value=fields), bill)
        held = {*plan.shares, *([plan.replay] if plan.replay else [])}
        for stream in found[name].streams:
            if stream not in held:
                place.at("streams").fail(f"arm {name} reads no {stream!r}; it reads {', '.join(sorted(held))}")
    return found


def _mapping(section: Section) -> Mapping[str, object]:
    if section.value is None:
        return {}
    if not isinstance(section.value, Mapping):
        section.fail(f"is what is learned from a teacher, such as {{teacher: {{path: …}}}}; found {section.value!r}")
    return section.value


def _distill(section: Section, bill: Bill) -> Distill:
    if "teacher" not in section:
        section.fail("needs `teacher`: {path: …}, {model: …}, {base: true} or {endpoint: …, served: …}")
    teacher = section.at("teacher").build(TeacherSpec)
    if teacher.path is not None:
        path = (bill.folder / teacher.path).resolve()
        if not (path / "config.json").is_file():
            section.at("teacher").at("path").fail(f"no Hugging Face checkpoint is there: {path}")
        teacher = dataclasses.replace(teacher, path=path)
    made: dict[str, object] = {"teacher": teacher}
    if "generic" in section:
        made["generic"] = section.at("generic").build(Generic)
    return section.build(Distill, made=made)


def with_controls(
    plans: Mapping[str, PlanSpec], distills: Mapping[str, Distill]
) -> tuple[dict[str, PlanSpec], dict[str, str]]:
    """The arms with, before each that has a teacher, one of the same plan that has none, unless the bill has such.

    Returns:
        All plans, and for each control that was added the arm it belongs to.
    """
    alone = [plan for name, plan in plans.items() if name not in distills]
    whole: dict[str, PlanSpec] = {}
    controls: dict[str, str] = {}
    for name, plan in plans.items():
        if name in distills and distills[name].control and plan not in alone:
            controls[f"{name}{CONTROL}"] = name
            whole[f"{name}{CONTROL}"] = plan
            alone.append(plan)
        whole[name] = plan
    return whole, controls
