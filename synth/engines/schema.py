"""JSON schemas enforced while decoding: which tokens may come next.

::

    {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}  ->  {"a":3}

No whitespace is allowed between tokens of the JSON: a weak model otherwise falls into writing blanks without end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mashbill.errors import EngineRefused, RequestRefused

KEPT = 64
"""Compiled schemas kept; a recipe has a handful."""


class Grammars:
    """Compiles schemas for one tokenizer and hands out matchers, one for each reply."""

    def __init__(self, tokenizer: Any, vocabulary: int, ends: Sequence[int]) -> None:
        self._source = tokenizer
        self._vocabulary = vocabulary
        self._ends = list(ends)
        self._tokens: Any = None
        self._compiled: dict[str, Any] = {}

    def matcher(self, schema: str) -> Matcher:
        """A fresh matcher for a schema.

        Raises:
            EngineRefused: when the schema cannot be compiled.
        """
        if schema not in self._compiled:
            if len(self._compiled) >= KEPT:
                del self._compiled[next(iter(self._compiled))]
            self._compiled[schema] = self._compile(schema)
        return Matcher(self._compiled[schema].deep_copy(), self._vocabulary)

    def _compile(self, schema: str) -> Any:
        import llguidance
        import llguidance.hf

        if self._tokens is None:  # about a second, so only when a schema is asked for
            self._tokens = llguidance.hf.from_tokenizer(self._source, n_vocab=self._vocabulary, eos_token=self._ends)
        try:
            grammar = llguidance.LLMatcher.grammar_from_json_schema(schema, overrides={"whitespace_flexible": False})
        except ValueError as error:
            raise EngineRefused(f"the JSON schema cannot be read: {error}: {schema[:200]}") from error
        matcher = llguidance.LLMatcher(self._tokens, grammar, log_level=0)
        if matcher.is_error():
            why = matcher.get_error().splitlines()[0]
            raise EngineRefused(f"the JSON schema cannot be enforced: {why}: simplify it: {schema[:200]}")
        return matcher


class Matcher:
    """Follows one reply through a schema."""

    def __init__(self, matcher: Any, vocabulary: int) -> None:
        self._matcher = matcher
        self._vocabulary = vocabulary

    def allowed(self) -> NDArray[np.bool_]:
        """Which tokens may come next; an end token is among them when the JSON is complete."""
        bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        return np.unpackbits(bits, bitorder="little", count=self._vocabulary).view(np.bool_)

    def take(self, token: int) -> bool:
        """Take the chosen token; True when nothing but an end can follow.

        Raises:
            EngineRefused: when the schema asks for more work than the matcher's limits allow.
        """
        if not self._matcher.consume_token(token) or self._matcher.is_error():
            why = self._matcher.get_error().splitlines()
            raise RequestRefused(f"the JSON schema could not be followed: {why[0] if why else 'token not allowed'}")
        return bool(self._matcher.is_stopped())
