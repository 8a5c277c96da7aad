"""What a supervised plan teaches, for the model card: target, template, masks, weights, and the rows left out."""

from __future__ import annotations

import json

from mashbill.card import table
from train.plan_manifest import PlanManifest

HOW = {
    "answer_only": "It answers at once: the rationales of its teacher, where there were any, were not learned.",
    "multitask": (
        "It answers at once when a question begins with the predict prefix, and gives a rationale when it begins with "
        "the explain prefix; an answer needs no rationale."
    ),
    "full_cot": "It reasons first, then answers; the answer stands behind the answer lead.",
}


def taught(manifest: PlanManifest) -> str:
    """A section of the card."""
    part = manifest.supervised
    assert part is not None
    planned = manifest.tokens
    rows: list[list[object]] = [[name, _shown(value)] for name, value in part.spec.items()]
    rows += [
        ["examples seen", f"{part.examples:,}"],
        ["questions", ", ".join(f"{name} {count:,}" for name, count in part.questions.items())],
        ["tokens learned", f"{part.learned:,} ({part.learned / planned:.1%}): completions, each with its end"],
        ["tokens masked", f"{part.masked:,} ({part.masked / planned:.1%}): prompts and template"],
        ["padding", f"{manifest.padding:,} ({manifest.padding / (planned + manifest.padding):.1%} of all places)"],
        ["loss", "mean over a sequence's learned tokens, then weighted mean over the sequences of a step"],
    ]
    for name, reasons in part.rejected.items():
        said = ", ".join(f"{reason} {count:,}" for reason, count in reasons.items()) or "none"
        rows.append([f"rows of {name} left out", said])
    return f"{HOW[str(part.spec['target'])]}\n\n{table(['what', 'how'], rows)}"


def _shown(value: object) -> str:
    return f"`{json.dumps(value, ensure_ascii=False)}`"
