"""What decides a run's losses, as one hash: the plan, the student's weights and the recipe. No torch here.

A path is where, not what, so a student given by path counts by the digests of its files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from mashbill.disk import file_digest
from mashbill.errors import InputError
from mashbill.fingerprint import fingerprint
from train.distill_spec import Distill
from train.plan_manifest import PlanManifest
from train.recipe import BYTES, Lora, StudentSpec, TrainRecipe

_SETTINGS = (
    "chat_template.jinja",
    "chat_template.json",
    "additional_chat_templates/*",
    "tokenizer_config.json",
    "special_tokens_map.json",
)
_COUNTED = ("config.json", "tokenizer.json", "*.safetensors", "pytorch_model*.bin")


def checkpoint_dir(spec: StudentSpec) -> Path:
    """The directory of a student that is not made from scratch."""
    if spec.path is None:
        from mashbill.embedded import embedded_model_dir

        return embedded_model_dir()
    if not (spec.path / "config.json").is_file():
        raise InputError(
            "has no config.json; a student is a directory with a Hugging Face checkpoint, as `save_pretrained` writes",
            path=spec.path,
        )
    return spec.path


def student_identity(spec: StudentSpec) -> str:
    """The hash of the weights a run starts from."""
    if spec.scratch:
        tokenizer = spec.tokenizer or BYTES
        files = "" if tokenizer == BYTES else _digests(Path(tokenizer), ("tokenizer.json",))
        return fingerprint({"scratch": spec.scratch, "tokenizer": files})
    if spec.model:
        from mashbill.embedded import embedded_model_id

        return fingerprint({"model": embedded_model_id()})
    return fingerprint({"files": _digests(checkpoint_dir(spec), _COUNTED)})


def _digests(path: Path, patterns: tuple[str, ...]) -> dict[str, str]:
    found = sorted({file for pattern in patterns for file in path.glob(pattern)})
    if not found:
        raise InputError(f"has none of {', '.join(patterns)}", path=path)
    return {file.name: file_digest(file) for file in found}


def template_identity(spec: StudentSpec) -> str:
    """The hash of the settings beside a student's weights that decide its prompts: templates, and framing tokens."""
    if spec.model:
        return student_identity(spec)
    place = Path(spec.tokenizer or BYTES) if spec.scratch else checkpoint_dir(spec)
    files = [file for pattern in _SETTINGS for file in sorted(place.glob(pattern)) if file.is_file()]
    return fingerprint({str(file.relative_to(place)): file_digest(file) for file in files})


def has_chat_template(spec: StudentSpec) -> bool:
    """Whether a student's directory holds a chat template; no tokenizer is loaded.

    True where there is no such directory yet: what is missing is somebody else's to say.
    """
    if spec.model:
        return True
    if spec.scratch and (spec.tokenizer is None or spec.tokenizer == BYTES):
        return False
    place = Path(spec.tokenizer or "") if spec.scratch else spec.path
    if place is None or not (place / "tokenizer.json").is_file():
        return True
    if any(
        (place / name).exists() for name in ("chat_template.jinja", "chat_template.json", "additional_chat_templates")
    ):
        return True
    config = place / "tokenizer_config.json"
    return config.is_file() and "chat_template" in json.loads(config.read_bytes())


def teacher_identity(spec: Distill, student: StudentSpec) -> str:
    """The hash of the teacher's weights; what a served one is called."""
    teacher = spec.teacher
    return fingerprint({"served": teacher.served}) if teacher.endpoint else student_identity(teacher.spec(student))


def distill_identity(spec: Distill, student: StudentSpec) -> str:
    """The hash of all that is learned from a teacher."""
    return fingerprint((spec, teacher_identity(spec, student)))


def run_identity(
    manifest: PlanManifest,
    student: StudentSpec,
    recipe: TrainRecipe,
    lora: Lora | None = None,
    start: str = "",
    distill: Distill | None = None,
) -> dict[str, str]:
    """What a checkpoint must agree with, part by part, so that a refusal can say which part differs."""
    whole = {"plan": manifest.hash, "student": student_identity(student), "recipe": fingerprint(recipe)}
    also = {
        "lora": "" if lora is None else fingerprint(lora),
        "start": start,
        "distill": "" if distill is None else distill_identity(distill, student),
    }
    return whole | {name: value for name, value in also.items() if value}


def differing(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    """The parts in which two runs differ, one that only one of them has included.

    >>> differing({"plan": "a", "recipe": "b"}, {"plan": "a", "recipe": "c", "lora": "d"})
    ['recipe', 'lora']
    """
    return [part for part in {**one, **other} if one.get(part) != other.get(part)]
