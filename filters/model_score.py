"""Give each row a number by a model: its perplexity, or what a reward model thinks of it; and cut at either end.

One row in -> out, with ``scorer: perplexity, most: 200``: ``"Salt melts at 801 °C."`` -> kept, with the score
``perplexity`` 87.9; ``"asdf qwer zxcv"`` -> rejected, ``perplexity_too_high``, value 4868.

    curate:
      - model_score: {scorer: perplexity, model: smollm2-135m-instruct, most: 500}
      - model_score: {scorer: reward, checkpoint: models/reward, prompt: [question], columns: [answer], least: 0}

The model runs in this process (`synth.engines.perplexity`, `synth.engines.reward`); its weights are identity, and where
they lie is not. A blank row has no number and goes for that. One pass; numbers are rounded to four digits, since which
texts share a batch moves the last ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from filters.chosen import chosen_output
from filters.row_text import row_texts
from mashbill.records import Record
from mashbill.scorers import Scorer, load_scorer
from mashbill.step import DatasetStep, PartOutput, Parts


@dataclass(frozen=True, kw_only=True)
class ModelScore(DatasetStep[Record, Record]):
    """Scores each row by a model, and rejects those outside the limits."""

    scorer: str
    """``perplexity`` or ``reward``; also the name of the score."""
    model: str = ""
    """``smollm2-135m-instruct`` (embedded, for perplexity), or a model's name with a revision."""
    revision: str = ""
    """For a model by name: the commit."""
    checkpoint: str = field(default="", metadata={"identity": False, "file": True})
    """Or a checkpoint directory, relative to the bill."""
    columns: tuple[str, ...] = ("text",)
    """What of a row is scored, joined."""
    prompt: tuple[str, ...] = ()
    """What comes before it, seen and not scored."""
    least: float | None = None
    """Rows below it go: ``<scorer>_too_low``."""
    most: float | None = None
    """Rows above it go: ``<scorer>_too_high``."""
    scorer_identity: str = ""
    """What the model is: set by itself."""

    def __post_init__(self) -> None:
        """Find the model, and refuse limits that no row could meet."""
        if bool(self.model) == bool(self.checkpoint):
            raise ValueError("give either a model by name or a checkpoint directory")
        if not self.columns or (self.least is not None and self.most is not None and self.least > self.most):
            raise ValueError(f"columns are {list(self.columns)}, least {self.least} and most {self.most}: none passes")
        object.__setattr__(self, "scorer_identity", self._scorer().identity)

    def run(self, parts: Parts) -> Iterator[PartOutput]:
        """One output for each input part."""
        scorer = self._scorer()
        for index in range(len(parts)):
            table = parts.table(index)
            texts = row_texts(table, self.columns, self.name)
            prompts = row_texts(table, self.prompt, self.name) if self.prompt else [""] * len(texts)
            found = np.array([_rounded(one) for one in scorer.score(list(zip(prompts, texts, strict=True)))])
            reasons = [self._reason(one) for one in found.tolist()]
            yield chosen_output(table, reasons, step=self.name, scores={self.scorer: found}, value=found)

    def _reason(self, value: float) -> str:
        if np.isnan(value):
            return "nothing_to_score"
        if self.least is not None and value < self.least:
            return f"{self.scorer}_too_low"
        return f"{self.scorer}_too_high" if self.most is not None and value > self.most else ""

    def _scorer(self) -> Scorer:
        return load_scorer(self.scorer, self.checkpoint or self.model, self.revision)


def _rounded(value: float) -> float:
    """Four digits, wherever the point is.

    >>> _rounded(38.21789), _rounded(-0.000123456)
    (38.22, -0.0001235)
    """
    return float(f"{value:.4g}")
