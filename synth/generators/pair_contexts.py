r"""Instructions paired with inputs: some contexts of a file for each, filled in where the placeholder stands.

``"Sum up the meeting.\n{transcript}"`` -> five rows, each with another transcript in its text. An instruction without a
placeholder has the input beside it, in `context`. Which contexts an instruction gets depends on it alone, not on its
neighbours. TCIA pairs each instruction with five (arXiv 2508.20374, step 5). Where no context has what a placeholder
wants, the row is rejected, ``no_context``; this step asks no model.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

from mashbill.ask import Ask
from mashbill.errors import BadReply
from mashbill.fingerprint import seed_of
from mashbill.records import Instruction
from mashbill.step import Generator
from synth.contexts import Context, contexts_digest, filled, name_of, read_contexts
from synth.placeholders import placeholders_in


@dataclass(frozen=True, kw_only=True)
class PairContexts(Generator[Instruction, Instruction]):
    """Gives each instruction several inputs."""

    contexts: str = field(metadata={"identity": False, "file": True})
    """A .jsonl or .parquet file of inputs (`synth.contexts`), relative to the bill."""
    each: int = 5
    """Inputs for one instruction, as far as so many fit."""
    contexts_digest: str = ""
    """What the file holds: set by itself, since its content is identity and where it lies is not."""

    def __post_init__(self) -> None:
        """Read the contexts, and refuse to pair with none."""
        if self.each < 1:
            raise ValueError(f"each is {self.each}; an instruction is paired with one input at least")
        object.__setattr__(self, "contexts_digest", contexts_digest(read_contexts(Path(self.contexts))))

    async def make(self, record: Instruction, ask: Ask) -> Iterable[Instruction | BadReply]:
        """The row once for each of its inputs."""
        del ask
        if not record.text.strip():
            raise BadReply("no_text", "there is no instruction to pair; put compose_instruction before this step")
        fitting = [pair for one in _contexts(self.contexts, self.contexts_digest) if (pair := filled(record.text, one))]
        if not fitting:
            raise BadReply("no_context", self._wanted(record), text=record.text)
        chosen = Random(seed_of(record.id, self.name)).sample(fitting, min(self.each, len(fitting)))
        unlike = list(dict.fromkeys(chosen))
        made = replace(record.made, step=self.name)
        return [
            replace(record, parents=(record.id,), text=text, context=beside, made=made).identified()
            for text, beside in unlike
        ]

    def _wanted(self, record: Instruction) -> str:
        wanted = [name_of(place) for place in placeholders_in(record.text)]
        offered = sorted({name for one in _contexts(self.contexts, self.contexts_digest) for name in one})
        return f"it wants {', '.join(wanted)} in one context; the file's contexts have {', '.join(offered)}"


@functools.lru_cache(maxsize=8)
def _contexts(path: str, digest: str) -> tuple[Context, ...]:
    del digest  # part of what is remembered: a file that was written anew is read anew
    return tuple(read_contexts(Path(path)))
