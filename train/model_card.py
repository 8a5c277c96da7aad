"""The model card: what the student is, from what, by which recipe, and what it scored.

Every number comes from a manifest or a result; there is nothing to fill in by hand. Its head is the YAML that the
Hugging Face Hub reads::

    ---
    base_model: smollm2-135m-instruct
    library_name: transformers
    pipeline_tag: text-generation
    tags: [mashbill, continued-pretraining, synthetic-data]
    ---
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import yaml

from train.distill_spec import Distill
from train.plan_manifest import CurriculumPart, PlanManifest
from train.recipe import Lora, StudentSpec, TrainRecipe
from train.result import TrainResult
from train.taught import taught

CARD = "README.md"
NOT_EVALUATED = "Not evaluated yet."
EVALUATION = ("measure", "before", "after", "difference", "95 % interval")


@dataclass(frozen=True, kw_only=True)
class TrainedOn:
    """The stored rows a plan was made from, and the released dataset that the same bill made of the same sources."""

    streams: Mapping[str, str]
    """Stream -> fingerprint of its stored rows."""
    release: str
    released: frozenset[str] = frozenset()
    """Streams all of whose rows are in the release."""
    released_in_part: frozenset[str] = frozenset()

    def rows(self) -> list[tuple[str, str]]:
        """Rows of the card.

        >>> data = TrainedOn(streams={"raw": "5f0c", "web": "77ab"}, release="09ab", released=frozenset(["raw"]))
        >>> data.rows()[:2]
        [('trained on raw', '`5f0c`, released in dataset `09ab`'), ('trained on web', '`77ab`, not released')]
        """
        beside = f"`{self.release}`, the dataset the same bill released; its held-out documents were not trained on"
        trained = [(f"trained on {name}", f"`{one}`, {self._where(name)}") for name, one in self.streams.items()]
        return [*trained, ("measured beside", beside)]

    def _where(self, name: str) -> str:
        if name in self.released:
            return f"released in dataset `{self.release}`"
        return f"released in part in dataset `{self.release}`" if name in self.released_in_part else "not released"


def model_card(
    result: TrainResult,
    manifest: PlanManifest,
    student: StudentSpec,
    recipe: TrainRecipe,
    *,
    dataset: str = "",
    data: TrainedOn | None = None,
    evaluation: Sequence[Sequence[str]] = (),
    license: str = "",
    base_repo: str = "",
    lora: Lora | None = None,
    distill: Distill | None = None,
) -> str:
    """The card as Markdown.

    `evaluation` has rows of five cells as `train.compare.Comparison.table` gives them; `base_repo` is the base
    model's name on the Hub where it has one, since a directory's name would be a broken link there. `dataset` names
    what the plan was made from; `data` says it stream by stream, with the release beside it.
    """
    parts = [
        _header(result, manifest, license, base_repo),
        f"# {result.student}, trained further" if not student.scratch else "# A student trained from scratch",
        _lineage(result, manifest, student, dataset, data),
        "## Data\n\n" + _streams(manifest),
        *([] if manifest.supervised is None else ["## What it was taught\n\n" + taught(manifest)]),
        *([] if distill is None else ["## Its teacher\n\n" + _teacher(result, distill)]),
        "## Recipe\n\n" + _recipe(manifest, recipe, lora),
        "## Training\n\n" + _training(result),
        "## Evaluation\n\n" + (_table(EVALUATION, evaluation) if evaluation else NOT_EVALUATED),
    ]
    return "\n\n".join(parts) + "\n"


def _header(result: TrainResult, manifest: PlanManifest, license: str, base_repo: str) -> str:
    how = "continued-pretraining" if manifest.supervised is None else "supervised-fine-tuning"
    tags = ["mashbill", how, "synthetic-data", *([] if result.trained is None else ["lora"])]
    fields: dict[str, object] = {
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": tags,
        # The Hub refuses a card whose licence is not on its list; `other` is on it.
        "license": license or "other",
    }
    if base_repo:
        fields["base_model"] = base_repo
    return f"---\n{yaml.safe_dump(fields, sort_keys=True)}---"


def _lineage(
    result: TrainResult, manifest: PlanManifest, student: StudentSpec, dataset: str, data: TrainedOn | None
) -> str:
    base = "none: random weights" if student.scratch else student.name
    rows = [
        ("base model", base),
        ("base weights", f"`{result.run['student']}`"),
        *(data.rows() if data else [("dataset", f"`{dataset}`" if dataset else "not said")]),
        ("plan", f"`{manifest.hash}`"),
        ("run", f"`{result.fingerprint}`"),
        ("parameters", f"{result.parameters:,}"),
        *([] if result.trained is None else [("parameters trained (LoRA, then merged)", f"{result.trained:,}")]),
    ]
    return _table(("what", "which"), rows)


def _streams(manifest: PlanManifest) -> str:
    rows = [
        (name, f"{one.records:,}", f"{one.planned_tokens:,}", f"{one.share:.1%}", f"{one.exposures.median:.2f}")
        for name, one in sorted(manifest.streams.items())
    ]
    table = _table(("stream", "records", "tokens trained on", "share", "times seen (median)"), rows)
    return f"{table}\n\n{manifest.tokens:,} tokens in {manifest.rows:,} packed rows of {manifest.sequence_length:,}."


def _recipe(manifest: PlanManifest, recipe: TrainRecipe, lora: Lora | None) -> str:
    settings: Mapping[str, object] = {
        "sequence_length": manifest.sequence_length,
        "batch": f"{manifest.batch} sequences",
        "steps": manifest.steps,
        "optimiser": "AdamW",
        "schedule": "linear warm-up, cosine decay",
        **dataclasses.asdict(recipe),
        "plan_seed": manifest.spec.get("seed"),
        **({} if manifest.curriculum is None else {"curriculum": _curriculum(manifest.curriculum)}),
        **({} if lora is None else _lora(lora)),
    }
    return _table(("setting", "value"), [(name, f"{value}") for name, value in settings.items()])


def _curriculum(part: CurriculumPart) -> str:
    cumulative = "cumulative " if part.spec["cumulative"] else ""
    how = f"{len(part.stages)} {cumulative}stages" if part.stages else "every epoch sorted"
    return f"by {part.spec['by']}, {part.spec['order']}, {how}"


def _lora(lora: Lora) -> dict[str, object]:
    fields = {f"lora_{name}": value for name, value in dataclasses.asdict(lora).items()}
    return fields | {"lora_targets": ", ".join(lora.targets) or "every linear layer but the head"}


def _teacher(result: TrainResult, distill: Distill) -> str:
    teacher = distill.teacher
    who = (
        teacher.served
        or teacher.model
        or ("the student before training" if teacher.base else str(teacher.path.name if teacher.path else ""))
    )
    how = {
        "top_k": f"its {distill.k} likeliest tokens and the mass of all others, stored",
        "sampled": f"{distill.draws} draws from its distribution, stored",
        "live": f"its whole distribution, beside the student ({distill.divergence})",
    }
    rows = [
        ("teacher", who),
        ("what it said", how[distill.encoding]),
        ("computed in", teacher.dtype),
        ("weight of the teacher", f"{distill.weight}; the text has the rest"),
        ("temperature", f"{distill.temperature}"),
        ("streams", ", ".join(distill.streams) or "all"),
        *([("true token exchanged with its first choice", "yes")] if distill.swap else []),
        *(
            []
            if distill.generic is None
            else [("first stage", f"hidden states, {distill.generic.share:.0%} of the steps")]
        ),
        ("teaching", f"`{result.run['distill']}`"),
    ]
    return _table(("what", "which"), rows)


def _training(result: TrainResult) -> str:
    rows = [
        ("tokens", f"{result.tokens:,}"),
        ("loss of the first step", f"{result.first_loss:.4f}"),
        ("final loss (mean of the last ten steps)", f"{result.final_loss:.4f}"),
        *((f"of these, {stream}", f"{loss:.4f}") for stream, loss in result.stream_loss.items()),
        *((f"next tokens foretold, {stream}", f"{one:.1%}") for stream, one in result.stream_accuracy.items()),
        ("tokens per second (median)", f"{result.tokens_per_second:,.0f}"),
        ("MFU (median)", "not measured" if result.mfu is None else f"{result.mfu:.1%}"),
    ]
    if (times := result.step_seconds) is not None:
        said = f"{times.median:.3g}, {times.p95:.3g}, {times.longest:.3g}"
        rows.append(("seconds of a step (median, 95th percentile, longest)", said))
    if result.peak_memory_gb is not None:
        rows.append(("peak memory", f"{result.peak_memory_gb:.2f} GB"))
    return _table(("what", "how much"), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
