r"""Summaries that say more in the same length, round by round.

A document -> one row with the last round's summary, and the rounds before it as its rationale::

    {"task": "summary", "question": "Summarise the text in about 80 words.", "context": "Ora Venn founded …",
     "rationale": "Round 1 (Salt Guild): The text tells of a guild …\n\nRound 2 (Ora Venn; Marrow Bay): …",
     "answer": "Ora Venn founded the Salt Guild of Marrow Bay in 502 …", "verdicts": [{"name": "length", …}, …], …}

Chain of density (Adams et al. 2023, arXiv 2309.04269), which "Knowledge distillation using frontier open-source LLMs"
(arXiv 2410.18588) uses for summaries: four rounds, each adds one to three entities of at most five words that are
missing, and the length stays. Their prompt asks for all rounds in one reply and nobody looks at it; here each round is
asked by itself and checked, and a round that fails is drawn again before the document is given up.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field

from mashbill.ask import Answer, Ask
from mashbill.engine import Sampling, system, user
from mashbill.errors import BadReply
from mashbill.records import Document, Rationale, Verdict
from mashbill.step import Generator
from mashbill.words import folded_track, track, words
from synth.entities import FUNCTION_WORDS, key_of
from synth.rationale_language import length_of
from synth.templates import check_places, document_part, fill

SAMPLING = Sampling(temperature=0.3, max_tokens=1024)
"""Azure's components take 0.2 and 1,024 tokens; a little more lets a second draw of a round differ."""


class Round(BaseModel):
    """What a reply must be: first what is missing, then the text that has it."""

    missing: list[str] = Field(min_length=1, max_length=3)
    summary: str = Field(min_length=1, max_length=2000)


@dataclass(frozen=True, slots=True)
class Dense:
    """One round that holds."""

    entities: tuple[str, ...]
    summary: str
    answer: Answer[Any]


@dataclass(frozen=True, kw_only=True)
class ChainOfDensity(Generator[Document, Rationale]):
    """Writes a summary of each document, denser with each round."""

    question: str = "Summarise the text in about {words} words."
    """What the row says was asked; may use {words}."""
    instruction: str = (
        "You write summaries of a text that become denser without becoming longer. Use nothing but the text."
    )
    first: str = (
        "Write a summary of the text above in about {words} words that is general and says little. Reply with a JSON "
        "object: missing, the one to three names or terms of the text that it mentions, of at most {entity_words} "
        "words each, in the words of the text; and summary."
    )
    """Follows the document; gets {words} and {entity_words}."""
    denser: str = (
        "Here is a summary of the text above:\n\n{summary}\n\nIt names: {entities}.\nFind one to three names or terms "
        "of the text that it does not name, of at most {entity_words} words each, in the words of the text. Then write "
        "the summary again in about {words} words, so that it names these too and still names all the others: make "
        "room by fusing sentences and cutting empty phrases. Reply with a JSON object: missing, the new names; "
        "and summary."
    )
    """Follows the document; gets {summary}, {entities}, {words} and {entity_words}."""
    rounds: int = 4
    words: int = 80
    """Length of every round; in characters where a script has no spaces."""
    slack: float = 0.25
    """Share of `words` that a round may be longer or shorter."""
    entity_words: int = 5
    """The longest entity."""
    tries: int = 3
    """Draws of one round before the document is given up."""
    sampling: Sampling = SAMPLING

    def __post_init__(self) -> None:
        """Refuse fields that could never make anything."""
        for name, least in (("rounds", 1), ("words", 10), ("entity_words", 1), ("tries", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be {least} or more")
        if not 0 < self.slack < 1:
            raise ValueError(f"slack is {self.slack}; it is a share of `words`, between 0 and 1")
        if self.tries > 1 and self.sampling.temperature == 0:
            raise ValueError(f"tries is {self.tries} at temperature 0, where every draw is the same")
        check_places("question", self.question, {"words"})
        check_places("first", self.first, {"words", "entity_words"})
        places = {"words", "entity_words", "summary", "entities"}
        check_places("denser", self.denser, places, {"summary", "entities"})

    async def make(self, record: Document, ask: Ask) -> Iterable[Rationale | BadReply]:
        """The summary of the last round."""
        if (count := length_of(record.text)) <= self.words:
            raise BadReply("short_document", f"{count} words need no summary of {self.words}")
        chain = list[Dense]()
        for _ in range(self.rounds):
            chain.append(await self._round(record, chain, ask))
        return [self._row(record, chain)]

    async def _round(self, record: Document, chain: list[Dense], ask: Ask) -> Dense:
        question = [system(self.instruction), user(document_part(record), self._wanted(chain))]
        failed: BadReply | None = None
        for draw in range(self.tries):
            try:
                answer = await ask(question, returns=Round, sampling=self.sampling, draw=draw, tries=1)
                return self._checked(answer, record, chain)
            except BadReply as bad:
                asks = (*(failed.asks if failed else ()), *bad.asks)
                detail = f"round {len(chain) + 1} of {self.rounds}, draw {draw + 1}: {bad.detail}"
                failed = BadReply(bad.reason, detail, text=bad.text, asks=asks, subjects=bad.subjects)
        assert failed is not None
        raise failed

    def _wanted(self, chain: list[Dense]) -> str:
        lengths = {"words": str(self.words), "entity_words": str(self.entity_words)}
        if not chain:
            return fill(self.first, **lengths)
        named = "; ".join(entity for one in chain for entity in one.entities)
        return fill(self.denser, summary=chain[-1].summary, entities=named, **lengths)

    def _checked(self, answer: Answer[Round], record: Document, chain: list[Dense]) -> Dense:
        """The round, if it keeps the rules: new entities of the document in it, the old ones too, the length kept."""
        summary = " ".join(answer.value.summary.split())
        entities = tuple(" ".join(one.split()) for one in answer.value.missing)

        def bad(reason: str, detail: str) -> BadReply:
            return BadReply(reason, detail, text=answer.text, asks=answer.keys, subjects=entities)

        count, least, most = length_of(summary), *self._band()
        if not least <= count <= most:
            raise bad("lost_length", f"{count} words, {least} to {most} wanted")
        source, said = folded_track(record.text), folded_track(summary)
        earlier = folded_track(chain[-1].summary) if chain else ""
        before = {_key(entity): entity for one in chain for entity in one.entities}
        for entity in entities:
            key = _key(entity)
            if not key or len(entity.split()) > self.entity_words:
                raise bad(
                    "entity_too_long", f"{entity!r} has {len(entity.split())} words, 1 to {self.entity_words} may"
                )
            if key not in source:
                raise bad("entity_not_in_document", f"{entity!r}")
            if all(word in FUNCTION_WORDS for word in words(entity)):
                raise bad("entity_unusable", f"{entity!r} names nothing")
            if key in before:
                raise bad("entity_repeated", f"{entity!r} was named in an earlier round")
            if key in earlier:
                raise bad("entity_not_missing", f"{entity!r} stands in the summary before")
            if key not in said:
                raise bad("entity_not_in_summary", f"{entity!r}")
            before[key] = entity
        if lost := next((entity for key, entity in before.items() if key not in said), ""):
            raise bad("entity_lost", f"{lost!r} was named in an earlier round and is gone")
        return Dense(entities, summary, answer)

    def _band(self) -> tuple[int, int]:
        return round(self.words * (1 - self.slack)), round(self.words * (1 + self.slack))

    def _row(self, record: Document, chain: list[Dense]) -> Rationale:
        last = chain[-1]
        lineage = "\n\n".join(
            f"Round {number} ({'; '.join(one.entities)}): {one.summary}" for number, one in enumerate(chain[:-1], 1)
        )
        count = sum(len(one.entities) for one in chain)
        return record.child(
            Rationale,
            task="summary",
            question=fill(self.question, words=str(self.words)),
            context=record.text,
            rationale=lineage,
            answer=last.summary,
            teacher="main",
            draws=1,
            verdicts=(
                Verdict(name="length", outcome="pass", detail=f"{length_of(last.summary)} words"),
                Verdict(name="entities", outcome="pass", detail=f"{count} of the document, in {len(chain)} rounds"),
            ),
            made=last.answer.made(*(one.answer for one in chain[:-1])),
        )


def _key(entity: str) -> str:
    return track(key_of(entity))
