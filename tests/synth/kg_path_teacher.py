"""A scripted writer, thinker, student and graders for items made of paths: perfect, or sloppy at known rates."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from mashbill.engine import Request
from mashbill.records import Edge, Path

OTHERS = ("amber beacon", "copper ladder", "dusty mitten", "eastern gate", "fallow meadow", "quiet harbour")


def path(*steps: tuple[str, str, str], domain: str = "") -> Path:
    """A path from its edges."""
    return Path.new(edges=tuple(Edge(head=h, relation=r, tail=t) for h, r, t in steps), domain=domain)


GUILD = path(("Marrow Bay", "seat_of", "Salt Guild"), ("Salt Guild", "founded_by", "Ora Venn"), domain="Veylund")
SHORT = path(("Vintrack", "lit_by", "blue lamps"))


def facts_in(text: str) -> list[tuple[str, str, str]]:
    """The facts that a prompt holds, as it writes them."""
    found = re.search(r"<facts>\n(.*?)\n</facts>", text, re.DOTALL)
    assert found is not None, text
    triples = (line.split(" | ") for line in found[1].splitlines())
    return [(head, relation, tail) for head, relation, tail in triples]


def target_in(text: str) -> str:
    """The end of the path that a writer's prompt asks about."""
    found = re.search(r"one of them right: it names (.*?)\. The other", text)
    assert found is not None, text
    return found[1]


def tagged(question: str, options: list[str], answer: str) -> str:
    """A reply in the form asked for."""
    lines = "\n".join(f"{letter}) {option}" for letter, option in zip("ABCDEFG", options, strict=False))
    return f"<question>{question}</question>\n<options>\n{lines}\n</options>\n<answer>{answer}</answer>"


def drawn(request: Request, what: str) -> float:
    """A number from 0 to 1 that depends on the request and what it is for."""
    said = "|".join(message.content for message in request.messages)
    digest = hashlib.blake2b(f"{what}/{request.seed}/{said}".encode(), digest_size=7).digest()
    return int.from_bytes(digest, "big") / (1 << 56)


@dataclass
class Teacher:
    """Answers every prompt of `kg_path`; `faults` are shares of the replies that a named fault spoils."""

    faults: Mapping[str, float] = field(default_factory=dict)
    verdict: Callable[[str, Request], str] = lambda who, request: "pass"
    """What a grader says, by its engine's name."""
    who: str = "main"
    made: dict[str, int] = field(default_factory=dict)
    """Faults that were put into replies."""

    def __call__(self, request: Request) -> str:
        """A reply by the kind of prompt."""
        text = request.messages[-1].content
        if "You check the work" in request.messages[0].content:
            return json.dumps({"reason": "Because.", "verdict": self.verdict(self.who, request)})
        if "The letter of the right option:" in text:
            return "Z"
        if "Think the item through" in text:
            return self.think(request, text)
        return self.write(request, text)

    def fault(self, request: Request, stage: str) -> str:
        """The fault of this reply, or nothing."""
        at = drawn(request, stage)
        for name, share in self.faults.items():
            if name.startswith(stage):
                if at < share:
                    self.made[name] = self.made.get(name, 0) + 1
                    return name.removeprefix(f"{stage}:")
                at -= share
        return ""

    def write(self, request: Request, text: str) -> str:
        """An item, with the right answer always at A: writers do favour letters."""
        target = target_in(text)
        question, options, answer = (
            "Who or what stands at the far end of it, for one like this?",
            [target, *OTHERS[:3]],
            "A",
        )
        (head, relation, tail), *_ = facts_in(text)
        match self.fault(request, "write"):
            case "no_tag":
                return tagged(question, options, answer).replace("</options>", "")
            case "three_options":
                options = options[:3]
            case "no_option":
                answer = "something else"
            case "code":
                question += "\n```\nprint()\n```"
            case "twins":
                options[3] = f"the {options[2]}s"
            case "wrong_target":
                answer = "B"
            case "tells_answer":
                question = f"Is it {target}? {question}"
            case "tells_fact" if tail != target and head != target:
                question = f"It is well known: {head} {relation} {tail}. {question}"
        if request.schema:
            return json.dumps({"question": question, "options": options, "answer": options["ABCD".index(answer)]})
        return tagged(question, options, answer)

    def think(self, request: Request, text: str) -> str:
        """A trace that names every node of the path and settles on the right letter."""
        letter = re.findall(r"Final Answer: ([A-D])", text)[-1]
        told = " ".join(f"I recall that {head} {relation} {tail}." for head, relation, tail in facts_in(text))
        match self.fault(request, "think"):
            case "mentions":
                told = f"According to the path, {told}"
            case "no_answer":
                return told
            case "other_answer":
                letter = "ABCD"[("ABCD".index(letter) + 1) % 4]
            case "vague":
                told = "One thing leads to another."
        return f"{told} The others do not fit.\n\nFinal Answer: {letter}"
