"""Where low-rank updates start: at zero, or from a decomposition of the weights that keeps what the student knows.

===========  ==========================================================================================================
`zero`       LoRA's own: one matrix random, the other zero (2106.09685)
`pissa`      the largest singular vectors of each weight are trained, the rest stands still (2404.02948)
`corda_kpm`  of the weight times the covariance of its inputs on general text, the smallest are trained: what that text
             uses least, so that knowledge is kept (CorDA, 2406.05223; knowledge-preserved mode)
`corda_ipm`  the same on the text that is to be learned, the largest (instruction-previewed mode)
`kasa`       the smallest singular vectors of each weight are dropped, and an update with singular values of its own
             is trained, kept near orthogonal by two penalties (2412.06071)
===========  ==========================================================================================================

All but `zero` change the weights that the updates are added to, so an adapter trained so fits no other base. What is
exported is therefore the difference to the student as it was: an ordinary adapter of twice the rank, which is exact,
since what was taken out and what was put in have the rank of the updates each.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from mashbill.errors import BillError
from train.batches import Batch, PlanReader
from train.recipe import Lora

CALIBRATION_ROWS = 256
"""Rows of a plan that covariances are taken over: CorDA's number of samples (2406.05223, section 4.1)."""


def start_options(lora: Lora) -> dict[str, Any]:
    """What PEFT's `LoraConfig` is told besides."""
    if lora.start == "pissa":
        return {"init_lora_weights": "pissa"}
    if lora.start == "kasa":
        from peft import KasaConfig

        return {"kasa_config": KasaConfig()}
    if lora.start.startswith("corda"):
        from peft.tuners.lora.config import CordaConfig

        return {"init_lora_weights": "corda", "corda_config": CordaConfig(corda_method=lora.start[-3:])}
    return {}


def all_linear(model: PreTrainedModel, lora: Lora) -> str | list[str]:
    """Every linear layer but the output head; by name where PEFT's start does not know the word for it."""
    if not lora.start.startswith("corda"):
        return "all-linear"
    head = model.get_output_embeddings()
    linear = (name for name, one in model.named_modules() if isinstance(one, nn.Linear) and one is not head)
    return sorted({name.rpartition(".")[2] for name in linear})


def prepare(model: PreTrainedModel, lora: Lora, config: Any, plan_dir: Path | None) -> None:
    """Take the covariances that CorDA starts from, on rows of the plan; nothing for the other starts.

    Raises:
        BillError: when the plan has no rows of the kind that it wants.
    """
    if not lora.start.startswith("corda"):
        return
    from peft.tuners.lora.corda import preprocess_corda

    if plan_dir is None:
        raise BillError(f"lora: start {lora.start} takes covariances on rows of a plan; there is no plan here")
    reader = PlanReader(plan_dir)
    rows = list(calibration_rows(reader, lora))
    was_training = model.training
    model.eval()

    def run() -> None:
        for batch in rows:
            model(input_ids=batch.input_ids, position_ids=batch.position_ids, use_cache=False)

    preprocess_corda(model, config, run_model=run)
    model.train(was_training)


def calibration_rows(reader: PlanReader, lora: Lora) -> Iterator[Batch]:
    """The first rows of the plan that hold what is to be kept (`corda_kpm`: replay) or to be learned (`corda_ipm`)."""
    replay = str(reader.manifest.spec.get("replay") or "")
    if lora.start == "corda_kpm" and not replay:
        raise BillError(
            "lora: start corda_kpm keeps what general text uses, and the arm has no `replay`; give it one "
            "(replay: {from: general, share: 0.1}), or say start: corda_ipm"
        )
    wanted = [
        row
        for row in range(reader.manifest.rows)
        if (held := reader.segments_of(row)) and (held[0].stream == replay) is (lora.start == "corda_kpm")
    ][:CALIBRATION_ROWS]
    # One by one: PEFT's hook takes the covariance of inputs of two dimensions.
    yield from (reader.batch([row]) for row in wanted)


def low_rank(difference: torch.Tensor, rank: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Two matrices of `rank` rows and columns whose product is the difference: (rank, in) and (out, rank)."""
    left, values, right = torch.linalg.svd(difference.float(), full_matrices=False)
    kept = min(rank, len(values))
    root = values[:kept].sqrt()
    return root[:, None] * right[:kept], left[:, :kept] * root
