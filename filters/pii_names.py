"""Names of people and places by presidio, where its recogniser and a language model of spaCy are installed.

``"Ora Venn wrote."`` with ``presidio: en_core_web_sm`` -> ``Span("person", 0, 8)``.

No rule with a check can find a name, so this is an extra: ``pip install 'mashbill[pii]'``, and a spaCy pipeline, which
is not on the package index (``python -m spacy download en_core_web_sm``, or its wheel from where you keep yours).
"""

from __future__ import annotations

import functools
import importlib.metadata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from filters.pii_kinds import Span
from mashbill.errors import BillError, SettingsError

ENTITIES = ("PERSON", "LOCATION")


@dataclass(frozen=True)
class NameFinder:
    """Presidio's analyzer over one spaCy pipeline."""

    model: str
    entities: tuple[str, ...] = ENTITIES
    least: float = 0.5
    """The score from which presidio's word is taken."""
    language: str = "en"

    def spans(self, text: str) -> list[Span]:
        """The names in a text."""
        found = _analyzer(self.model, self.language).analyze(
            text=text, language=self.language, entities=list(self.entities), score_threshold=self.least
        )
        ordered = sorted(found, key=lambda one: (-one.score, one.start, one.end))
        return [Span(str(one.entity_type).lower(), one.start, one.end) for one in ordered]


def model_version(model: str) -> str:
    """The version of a spaCy pipeline that is installed as a package, which is part of what it finds.

    Raises:
        BillError: when it is not installed.
    """
    try:
        return importlib.metadata.version(model)
    except importlib.metadata.PackageNotFoundError as error:
        raise BillError(
            f"presidio: no spaCy pipeline called {model!r} is installed; install its package (python -m spacy download "
            f"{model}) and `pip install 'mashbill[pii]'`, or leave `presidio` out"
        ) from error


@functools.cache
def _analyzer(model: str, language: str) -> Any:
    try:
        from presidio_analyzer import AnalyzerEngine
        from presidio_analyzer.nlp_engine import NlpEngineProvider
    except ImportError as error:
        raise SettingsError("presidio is not installed: `pip install 'mashbill[pii]'`") from error
    models: Sequence[dict[str, str]] = [{"lang_code": language, "model_name": model}]
    engine = NlpEngineProvider(nlp_configuration={"nlp_engine_name": "spacy", "models": models}).create_engine()
    return AnalyzerEngine(nlp_engine=engine, supported_languages=[language])
