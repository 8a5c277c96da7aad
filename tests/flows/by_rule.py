"""A teacher by rule for the examples: a step file with an engine in the place of the embedded model."""

from __future__ import annotations

_ENGINE = '''
"""ABOUT"""

from dataclasses import dataclass

from mashbill.engine import Reply


@dataclass(frozen=True, kw_only=True)
class ByRule:
    """Answers by rule."""

    model: str = "rule"
    batch = 16
    calls = 1

    @property
    def identity(self):
        """By its model."""
        return "scripted/" + self.model

    async def start(self):
        """Nothing to start."""

    async def close(self):
        """Nothing to close."""

    async def complete(self, requests):
        """One reply each."""
        for index, request in enumerate(requests):
            text = said(request, self.model)
            yield index, Reply(text=text, finish_reason="stop", prompt_tokens=PROMPT, completion_tokens=NEW)


'''


def engine_by_rule(about: str, rule: str, *, tokens: tuple[int, int] = (9, 9)) -> str:
    """The text of a step file whose engine ``by_rule`` answers what ``said(request, model)`` in `rule` gives.

    `tokens` are those of each prompt and each reply.
    """
    prompt, new = map(str, tokens)
    return _ENGINE.replace("ABOUT", about).replace("PROMPT", prompt).replace("NEW", new) + rule.lstrip("\n")
