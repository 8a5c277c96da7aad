"""Scorers by name: a model's number for each text, for filters that know no models.

``load_scorer("perplexity", "smollm2-135m-instruct").score([("", "Salt melts at 801 °C.")])`` -> ``array([87.9])``

A scorer is a class with a `score` method in a file named for it, in `synth.engines`: `perplexity` and `reward`. Its
identity is what decides its numbers, the model's weights above all, and never where they lie.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from mashbill.registry import load

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Scorer(Protocol):
    """Gives each text a number."""

    @property
    def identity(self) -> str:
        """Kind, model and revision."""
        ...

    def score(self, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float64]:
        """A number for each pair of a prompt, which may be empty, and a text; NaN for a text that is blank."""
        ...


def load_scorer(name: str, model: str, revision: str = "") -> Scorer:
    """The scorer of a name with a model; its weights are loaded when it scores for the first time.

    Raises:
        RegistryError: for an unknown name, with the list.
        SettingsError: when the model is neither embedded, nor a directory, nor a name with a revision.
    """
    made: Any = load("scorer", name)
    scorer: Scorer = made(model=model, revision=revision)
    return scorer
