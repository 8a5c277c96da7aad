"""Documents to triples, each with the words that state it.

A document -> one triple for each fact it states::

    {"head": "Ora Venn", "head_type": "person", "relation": "founded", "tail": "the Salt Guild",
     "tail_type": "group", "evidence": "Ora Venn founded the Salt Guild in 204.", "evidence_start": 120,
     "evidence_end": 159, "source_id": "09ab…", "scores": [{"name": "ends_in_evidence", "value": 2.0}], …}

A model that is asked for facts also writes some that are not in the text. So each triple must quote the text, and the
quote is looked up in the document: what is not found there is a reject row (`evidence_not_found`), as is a head or
tail that the document never names (`entity_not_in_text`). Where a schema of relations and kinds is given, engines
that enforce one while decoding cannot leave it, and what others write outside it is rejected triple by triple.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Literal

from pydantic import BaseModel

from kg.extract_evidence import Track
from kg.extract_names import names_listed
from kg.extract_prompts import GUIDED, MORE, OPEN, SYSTEM, TYPES
from kg.extract_schema import LONGEST_NAME, Relation, Stated, extraction_shape, relation_name, stated_in
from kg.extract_windows import Window, sentences_of, windows_of
from kg.resolve_names import contains_name, is_telling, key_of, word_track
from mashbill.ask import Answer, Ask
from mashbill.engine import Message, Sampling, system, user
from mashbill.errors import BadReply
from mashbill.records import Document, Score, Triple
from mashbill.step import Generator, settle
from mashbill.words import fold

CAREFUL = Sampling(max_tokens=4096, temperature=0.0)
"""Greedy: facts are wanted, not variety. Forty triples with a sentence and two kinds each are some 3,000 tokens."""


_DASHES = str.maketrans(dict.fromkeys("‐‑–—−", "-"))
_HANGUL = re.compile("[\u1100-\u11ff\u3130-\u318f\uac00-\ud7af]")


@dataclass(frozen=True, kw_only=True)
class ExtractTriples(Generator[Document, Triple]):
    """Finds the facts of a document as triples with their evidence."""

    relations: tuple[Relation | str, ...] = ()
    """What may be extracted: names, or names with their meaning and the kinds they join. Empty: whatever it likes."""
    entity_types: tuple[str, ...] = ()
    """Kinds of heads and tails; empty asks for none."""
    entities_in: Literal["evidence", "document"] = "document"
    """Where head and tail must stand: ``evidence`` is stricter, ``document`` lets "She sailed" speak of Ora Venn."""
    rounds: int = 1
    """Asks for each window; those after the first show what was found and ask for what is missing ("gleaning")."""
    window_chars: int = 6000
    """About 1,500 tokens. Longer ones make models skip facts; shorter ones cost more of the prompt."""
    overlap_chars: int = 300
    """Two sentences, so that a fact across a border is seen whole."""
    max_windows: int | None = None
    """The most windows of a document that are asked about; what lies beyond is a reject, `windows_left`."""
    max_triples: int = 40
    """The most in one reply."""
    min_triples: int = 0
    """The fewest in a first reply, for small teachers that else list none; engines that enforce a schema heed it."""
    name_chars: int = LONGEST_NAME
    """The longest head, relation or tail. Small teachers write sentences there, so give them 40."""
    names: Literal["free", "text"] = "free"
    """``text`` lists in the schema the words that the window has for heads and tails, for small teachers."""
    evidence: Literal["quote", "sentence"] = "quote"
    """``sentence`` lists the window's sentences in the schema: an engine which enforces it can quote no other."""
    tries: int = 3
    system: str = SYSTEM
    extract_prompt: str = ""
    """Follows the text; may use {relations} and {types}. Empty takes the one for the schema given."""
    more_prompt: str = MORE
    """Follows it in later rounds; gets {found}."""
    engine: str = ""
    """The role of the engine that is asked; none is the main one."""
    sampling: Sampling = field(default=CAREFUL)

    def __post_init__(self) -> None:
        """Refuse fields that could never make anything."""
        for name, least in (
            ("rounds", 1),
            ("window_chars", 200),
            ("max_triples", 1),
            ("tries", 1),
            ("min_triples", 0),
            ("name_chars", 1),
        ):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be {least} or more")
        if not 0 <= self.overlap_chars <= self.window_chars // 2:
            raise ValueError(f"overlap_chars is {self.overlap_chars}; it must be from 0 to half of window_chars")
        choices = {
            "entities_in": ("evidence", "document"),
            "evidence": ("quote", "sentence"),
            "names": ("free", "text"),
        }
        for name, words in choices.items():
            if getattr(self, name) not in words:
                raise ValueError(f"{name} is {getattr(self, name)!r}; it must be {' or '.join(words)}")
        if self.max_windows is not None and self.max_windows < 1:
            raise ValueError(f"max_windows is {self.max_windows}; it must be 1 or more, or null")
        if self.min_triples > self.max_triples:
            raise ValueError(f"min_triples is {self.min_triples}, more than the {self.max_triples} of max_triples")
        for relation in self.schema().values():
            for kind in (*relation.head, *relation.tail):
                if kind not in self.entity_types:
                    raise ValueError(f"the relation {relation.name} wants the kind {kind!r}, not one of entity_types")

    def schema(self) -> dict[str, Relation]:
        """The relations by name.

        Raises:
            ValueError: for a name that stands twice or is not written as graphs write it.
        """
        found: dict[str, Relation] = {}
        for one in self.relations:
            relation = one if isinstance(one, Relation) else Relation(name=one)
            if relation.name != relation_name(relation.name) or not relation.name:
                raise ValueError(f"the relation {relation.name!r} must be in snake_case: letters, digits and _")
            if relation.name in found:
                raise ValueError(f"the relation {relation.name!r} stands twice")
            found[relation.name] = relation
        return found

    def engines(self) -> Sequence[str]:
        """The role it asks, if one is named."""
        return (self.engine,) if self.engine else ()

    async def make(self, record: Document, ask: Ask) -> Iterable[Triple | BadReply]:
        """The triples of each window, in the order of the text; what another window found first is a duplicate."""
        if not record.text.strip():
            raise BadReply("empty_document", "the document holds no text, so there is nothing to extract")
        whole = f"{record.title}\n{record.text}"
        page = _Page(record, Track.of(record.text), word_track(whole), _squeezed(whole), self.schema())
        windows = windows_of(record.text, self.window_chars, self.overlap_chars)
        asked = windows if self.max_windows is None else windows[: self.max_windows]
        found = await settle((self._window(page, window, ask) for window in asked), apart=True)
        outcomes = list(chain.from_iterable([one] if isinstance(one, BadReply) else one for one in found))
        rows = _without_repeats(outcomes)
        if len(asked) < len(windows):
            left = f"{len(windows) - len(asked)} of {len(windows)} windows, from character {windows[len(asked)].start}"
            rows.append(BadReply("windows_left", f"{left}; raise max_windows to have them read"))
        return rows or [BadReply("nothing_stated", "the replies hold no triple")]

    async def _window(self, page: _Page, window: Window, ask: Ask) -> list[Triple | BadReply]:
        outcomes: list[Triple | BadReply] = []
        before: list[Answer[Any]] = []
        for number in range(self.rounds):
            found = [one for one in outcomes if isinstance(one, Triple)]
            if number and not found:
                break  # nothing to show, so the question would be the one that was answered
            shape = self._shape(page, window, 0 if number else self.min_triples)
            question = self._question(page.record, window, found, page.schema)
            try:
                answer = await ask(
                    question, returns=shape, sampling=self.sampling, tries=self.tries, engine=self.engine
                )
            except BadReply as bad:
                return [*outcomes, bad]
            known = {_edge(one) for one in found}
            new = [self._judged(page, window, one, answer, before) for one in stated_in(answer.value)]
            outcomes += new
            if not any(isinstance(one, Triple) and _edge(one) not in known for one in new):
                break
            before.append(answer)
        return outcomes

    def _shape(self, page: _Page, window: Window, least: int) -> type[BaseModel]:
        text = page.record.text[window.start : window.end]
        sentences = sentences_of(text) if self.evidence == "sentence" else ()
        names = tuple(one for one in names_listed(text) if len(one) <= self.name_chars) if self.names == "text" else ()
        relations = tuple(page.schema)
        return extraction_shape(
            relations, self.entity_types, self.max_triples, least, self.name_chars, sentences, names
        )

    def _question(
        self, record: Document, window: Window, found: Sequence[Triple], schema: dict[str, Relation]
    ) -> list[Message]:
        head = f"{record.title}\n\n" if record.title else ""
        relations = "\n".join(one.line() for one in schema.values())
        words = self.extract_prompt or (GUIDED if schema else OPEN) + (TYPES if self.entity_types else "")
        words = words.replace("{relations}", relations).replace("{types}", ", ".join(self.entity_types))
        shared = f"{head}{record.text[window.start : window.end]}\n\n"
        if not found:
            return [system(self.system), user(shared, words)]
        listed = "\n".join(f"- {one.head} | {one.relation} | {one.tail}" for one in found)
        return [system(self.system), user(shared, words, self.more_prompt.replace("{found}", listed))]

    def _judged(
        self, page: _Page, window: Window, one: Stated, answer: Answer[Any], before: Sequence[Answer[Any]]
    ) -> Triple | BadReply:
        try:
            triple = self._triple(page, window, one)
        except BadReply as bad:
            subjects = (one.head, one.tail)
            return BadReply(bad.reason, bad.detail, text=one.model_dump_json(), asks=answer.keys, subjects=subjects)
        return page.record.child(Triple, **triple, made=answer.made(*before))

    def _triple(self, page: _Page, window: Window, one: Stated) -> dict[str, Any]:
        head, tail = " ".join(one.head.split()), " ".join(one.tail.split())
        relation = self._relation(page, one)
        self._check_names(head, relation, tail)
        head_type, tail_type = self._kinds(page, relation, one)
        span = page.track.find(one.evidence, window.start, window.end)
        if span is None:
            raise BadReply("evidence_not_found", f"the document does not say {one.evidence!r}")
        evidence = page.record.text[span[0] : span[1]]
        inside = word_track(evidence)
        place = inside if self.entities_in == "evidence" else page.words
        for name in (head, tail):
            if not page.names(name, place, evidence if self.entities_in == "evidence" else None):
                raise BadReply("entity_not_in_text", f"{name!r} does not stand in the {self.entities_in}")
        ends = sum(contains_name(inside, name) for name in (head, tail))
        return {
            "head": head,
            "relation": relation,
            "tail": tail,
            "head_type": head_type,
            "tail_type": tail_type,
            "evidence": evidence,
            "evidence_start": span[0],
            "evidence_end": span[1],
            "scores": (Score(name="ends_in_evidence", value=float(ends)),),
        }

    def _relation(self, page: _Page, one: Stated) -> str:
        name = relation_name(one.relation)
        if page.schema and name not in page.schema:
            raise BadReply("relation_not_in_schema", f"{one.relation!r} is not one of {', '.join(page.schema)}")
        return name

    def _check_names(self, head: str, relation: str, tail: str) -> None:
        for what, name in (("head", head), ("relation", relation), ("tail", tail)):
            if not name:
                raise BadReply("blank_field", f"it has no {what}")
            if len(name) > self.name_chars:
                raise BadReply("name_too_long", f"the {what} has {len(name)} characters, more than {self.name_chars}")
        if key_of(head) == key_of(tail):
            raise BadReply("self_loop", f"{head!r} and {tail!r} are one thing")

    def _kinds(self, page: _Page, relation: str, one: Stated) -> tuple[str, str]:
        if not self.entity_types:
            return "", ""
        known = {fold(kind): kind for kind in self.entity_types}
        kinds = [known.get(fold(kind.strip()), "") for kind in (one.head_type, one.tail_type)]
        for given, kind in zip((one.head_type, one.tail_type), kinds, strict=True):
            if not kind:
                raise BadReply("type_not_in_schema", f"{given!r} is not one of {', '.join(self.entity_types)}")
        wanted = page.schema.get(relation, Relation(name=relation))
        for side, allowed, kind in (("head", wanted.head, kinds[0]), ("tail", wanted.tail, kinds[1])):
            if allowed and kind not in allowed:
                raise BadReply("type_not_allowed", f"the {side} of {relation} is a {kind}, not {' or '.join(allowed)}")
        return kinds[0], kinds[1]


@dataclass(frozen=True, slots=True)
class _Page:
    """A document as the checks need it, worked out once."""

    record: Document
    track: Track
    words: str
    """The words of title and text."""
    squeezed: str
    """Their characters, for names that words do not tell."""
    schema: dict[str, Relation]

    def names(self, name: str, words: str, evidence: str | None) -> bool:
        """Whether a name stands among words; letter by letter where its signs tell, or words are joined (Korean)."""
        if is_telling(name) or not any(map(str.isalnum, name)):
            return _squeezed(name) in (self.squeezed if evidence is None else _squeezed(evidence))
        if contains_name(words, name):
            return True
        return _HANGUL.search(name) is not None and _squeezed(name) in (
            self.squeezed if evidence is None else _squeezed(evidence)
        )


def _squeezed(text: str) -> str:
    """A text without case, accents and spaces, and with one kind of dash."""
    return "".join(fold(text).translate(_DASHES).split())


def _edge(triple: Triple) -> tuple[str, str, str]:
    return key_of(triple.head), triple.relation, key_of(triple.tail)


def _without_repeats(outcomes: Sequence[Triple | BadReply]) -> list[Triple | BadReply]:
    """The same, but a triple that says what an earlier one says, with words they share as evidence, is a reject."""
    seen: dict[tuple[Any, ...], list[Triple]] = {}
    rows: list[Triple | BadReply] = []
    for one in outcomes:
        if isinstance(one, BadReply):
            rows.append(one)
            continue
        before = seen.setdefault(_edge(one), [])
        same = next((other for other in before if _share_words(one, other)), None)
        if same is not None:
            text = f"{one.head} | {one.relation} | {one.tail}"
            detail = f"it was stated before, of the same words, as {same.id}"
            rows.append(BadReply("duplicate", detail, text=text, asks=one.made.asks, subjects=(one.head, one.tail)))
        else:
            before.append(one)
            rows.append(one)
    return rows


def _share_words(one: Triple, other: Triple) -> bool:
    spans = [(triple.evidence_start or 0, triple.evidence_end or 0) for triple in (one, other)]
    return max(start for start, _ in spans) < min(end for _, end in spans)
