"""How well the checks of worked answers tell good from bad, on GSM8K with a teacher whose errors are known.

Each question's own solution is rewritten some times over: well (its answer in figures, in words, with a unit, boxed)
or with one fault of a named kind. Then each filter alone, and all of them as one stack, judge the rows as a run does.
Printed are precision (of the rows rejected, how many have a fault) and recall (of the rows with a fault, how many are
rejected) with Wilson's 95 % interval, the share caught of each kind, and every solution of the data set itself that is
rejected. Two rules that are often used instead stand beside them.

    MASHBILL_DATA=… .venv/bin/python -m benchmarks.verifiers --draws 8 --rates wrong_answer=0.1,leak=0.05
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filters.answer_matches import AnswerMatches
from filters.trace_arithmetic import TraceArithmetic
from filters.trace_form import TraceForm
from filters.trace_leaks import TraceLeaks
from mashbill.disk import write_json
from mashbill.filter_stack import apply_filters
from mashbill.fingerprint import seed_of
from mashbill.matching.arithmetic import Refused, evaluate
from mashbill.matching.equations import equations
from mashbill.records import QA, Made, Rationale, to_table
from mashbill.sources.read_qa import ReadQa
from mashbill.step import Filter
from train.intervals import wilson

RATES = {
    "wrong_answer": 0.08,
    "wrong_arithmetic": 0.08,
    "wrong_set_up": 0.08,
    "missing_answer": 0.04,
    "two_answers": 0.04,
    "leak": 0.06,
    "truncated": 0.04,
    "refusal": 0.02,
    "other_language": 0.03,
    "other_question": 0.03,
}
"""Share of the draws that have each fault; the rest are good."""
FAULTS = {
    "wrong_answer": "the steps are right, the answer is another number",
    "wrong_arithmetic": "one equation is wrong, the answer is right",
    "wrong_set_up": "the last equation is another one, computed rightly; so the answer is wrong",
    "missing_answer": "no answer is marked",
    "two_answers": "two different answers are marked, the right one last",
    "leak": "a sentence says that the answer was given, or speaks of a context that is not there",
    "truncated": "cut off by the limit of tokens",
    "refusal": "the teacher declines",
    "other_language": "German sentences around right equations",
    "other_question": "the steps of another question, with the right answer",
}
ENDS = (
    "The answer is {}.",
    "So the answer is {}.",
    "\n#### {}",
    "The final answer is \\boxed{{{}}}.",
    "Final Answer: {}",
)
LEAKS = (
    "As given in the context, this is right.",
    "The given answer confirms this.",
    "We know the correct answer is marked, so this must hold.",
    "According to the provided path, the total follows.",
    "This matches the reference answer.",
    "Since the correct answer is known to be this, we stop here.",
    "The hint says so.",
    "As stated in the prompt, the result is fixed.",
    "Working backwards from the answer we were given, this fits.",
    "The solution provided agrees with this.",
    "Because the answer must be this number, we choose it.",
    "The expected answer is the same.",
    "This agrees with the answer key.",
    "Per the knowledge graph, these are linked.",
    "I was told the result beforehand.",
)
"""Written before the patterns were looked at again, and not fitted to them."""
_MARKED = re.compile(r"<<([^<>=]+)=([^<>]+)>>\s*([\d.,]*\d)")
_UNMARKED = re.compile(r"<<[^<>]*>>")
_NAMES = "zero one two three four five six seven eight nine ten"
_WORDS = dict(enumerate(_NAMES.split(" ")))


@dataclass(frozen=True)
class Draw:
    """One worked answer and what is wrong with it."""

    row: Rationale
    fault: str
    """Empty for a good one."""


def drawn(questions: Sequence[QA], draws: int, rates: Mapping[str, float]) -> list[Draw]:
    """So many worked answers of each question."""
    return [
        draw
        for index, one in enumerate(questions)
        for number in range(draws)
        if (draw := _draw(one, questions[(index + 1) % len(questions)], number, rates)) is not None
    ]


def _draw(one: QA, other: QA, number: int, rates: Mapping[str, float]) -> Draw | None:
    chance = random.Random(seed_of(one.question, "verifiers", number))
    fault = chance.choices(["", *rates], [1 - sum(rates.values()), *rates.values()])[0]
    made = _faulty(fault, one, other, chance)
    if made is None:
        return None
    text, finish = made
    if chance.random() < 0.5:  # half of the traces mark their equations, half only write them
        text = _UNMARKED.sub("", text)
    row = Rationale.new(
        question=one.question,
        rationale=text,
        answer="",
        gold=one.answer,
        draw=number,
        parents=(f"{one.id}-{number}",),
        made=Made(finish_reason=finish),
    )
    return Draw(row, fault)


def _faulty(fault: str, one: QA, other: QA, chance: random.Random) -> tuple[str, str] | None:
    steps, answer, end = one.rationale, one.answer, chance.choice(ENDS)
    wrong = str(int(float(answer.replace(",", ""))) + chance.choice((-2, -1, 1, 2, 10)))
    if fault == "wrong_answer":
        return f"{steps} {end.format(wrong)}", "stop"
    if fault == "wrong_arithmetic":
        changed = _miscalculated(steps, chance)
        return None if changed is None else (f"{changed} {end.format(answer)}", "stop")
    if fault == "wrong_set_up":
        found = _set_up_otherwise(steps, chance)
        return None if found is None else (f"{found[0]} {end.format(found[1])}", "stop")
    if fault == "missing_answer":
        return steps, "stop"
    if fault == "two_answers":
        return f"{steps} The answer is {wrong}. Wait. {end.format(answer)}", "stop"
    if fault == "leak":
        return f"{steps} {chance.choice(LEAKS)} {end.format(answer)}", "stop"
    if fault == "truncated":
        return steps[: int(len(steps) * chance.uniform(0.3, 0.95))], "length"
    if fault == "refusal":
        return "I'm sorry, but I can't help with that question.", "stop"
    if fault == "other_language":
        sums = [f"Dann rechnen wir {match[1]} = {match[2]} und merken uns das." for match in _MARKED.finditer(steps)]
        return f"Zuerst lesen wir die Frage. {' '.join(sums)} Das ist alles.\n#### {answer}", "stop"
    if fault == "other_question":
        return f"{other.rationale} {end.format(answer)}", "stop"
    return f"{steps} {end.format(_said(answer, chance))}", "stop"


def _said(answer: str, chance: random.Random) -> str:
    """A right answer as a model may write it."""
    plain = answer.replace(",", "")
    forms = [answer, plain, f"{int(plain):,}", f"${answer}", f"{answer} in all", f"**{answer}**", f"{plain}.00"]
    return chance.choice([*forms, *([_WORDS[int(plain)]] if int(plain) in _WORDS else [])])


def _miscalculated(steps: str, chance: random.Random) -> str | None:
    places = [match for match in _MARKED.finditer(steps)]
    if not places:
        return None
    match = chance.choice(places)
    wrong = _number(float(match[2]) + chance.choice((-1, 1, 2, 10)))
    return f"{steps[: match.start()]}<<{match[1]}={wrong}>>{wrong}{steps[match.end() :]}"


def _set_up_otherwise(steps: str, chance: random.Random) -> tuple[str, str] | None:
    places = [match for match in _MARKED.finditer(steps)]
    if not places:
        return None
    match = places[-1]
    operators = [place for place in re.finditer(r"[-+*/]", match[1]) if place.start()]
    others = [(place, sign) for place in operators for sign in "+-*" if sign != place[0]]
    chance.shuffle(others)
    for place, sign in others:
        changed = match[1][: place.start()] + sign + match[1][place.end() :]
        try:
            value = evaluate(changed)
        except Refused:
            continue
        if value.denominator == 1 and value != evaluate(match[1]):
            # The sum as it is written before the mark is taken out: only the changed one stands there.
            before = steps[: match.start()].rsplit("\n", 1)[0]
            return f"{before}\nSo we compute {changed} = <<{changed}={value}>>{value}.", str(value)
    return None


def _number(value: float) -> str:
    return f"{value:g}" if abs(value) < 1e6 else f"{value:.0f}"


# --- what judges

LAST_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")


def last_number(draw: Draw) -> bool:
    """Whether the last number of the text is not the gold one: the rule of many scripts."""
    numbers = LAST_NUMBER.findall(draw.row.rationale)
    gold = float((draw.row.gold or "").replace(",", ""))
    return not numbers or abs(float(numbers[-1].replace(",", "")) - gold) > 1e-3


def marked_equations(draw: Draw) -> bool:
    """Whether a marked equation is wrong, and a text without any passes: the rule of RFT's published code."""
    return any(one.outcome != "right" for one in equations(draw.row.rationale) if one.marked)


def rejected(steps: Sequence[Filter[Rationale]], draws: Sequence[Draw]) -> list[str]:
    """The reason of each row, "" where it is kept."""
    output = apply_filters(steps, to_table([draw.row for draw in draws], Rationale), Rationale)
    reasons = {json.loads(one["record"])["id"]: one["reason"] for one in output.rejects.to_pylist()}
    return [reasons.get(draw.row.id, "") for draw in draws]


STACK: Mapping[str, Filter[Rationale]] = {
    "trace_form": TraceForm(languages=("en",), min_words=3),
    "answer_matches": AnswerMatches(matcher="numeric"),
    "trace_leaks": TraceLeaks(),
    "trace_arithmetic": TraceArithmetic(),
}


def measured(draws: Sequence[Draw]) -> dict[str, Any]:
    """Precision, recall and the share caught of each kind, for each judge."""
    judges = {name: rejected([step], draws) for name, step in STACK.items()}
    judges["the stack"] = rejected(list(STACK.values()), draws)
    plain: Mapping[str, Callable[[Draw], bool]] = {
        "last number": last_number,
        "last number, marked equations": lambda draw: last_number(draw) or marked_equations(draw),
    }
    judges |= {name: ["rejected" if judge(draw) else "" for draw in draws] for name, judge in plain.items()}
    return {name: _scored(reasons, draws) for name, reasons in judges.items()}


def _scored(reasons: Sequence[str], draws: Sequence[Draw]) -> dict[str, Any]:
    caught = Counter(draw.fault for draw, reason in zip(draws, reasons, strict=True) if reason)
    of_good = Counter(reason for draw, reason in zip(draws, reasons, strict=True) if reason and not draw.fault)
    there = Counter(draw.fault for draw in draws)
    bad, good = sum(there.values()) - there[""], there[""]
    found = sum(caught.values()) - caught[""]
    return {
        "precision": str(wilson(found, sum(caught.values()))) if caught else "-",
        "recall": str(wilson(found, bad)),
        "good rejected": str(wilson(caught[""], good)),
        "for": dict(of_good),
        "kept that have a fault": f"{(bad - found) / max(1, len(draws) - sum(caught.values())):.1%}",
        "caught": {fault: f"{caught[fault]}/{there[fault]}" for fault in FAULTS if there[fault]},
    }


def of_gold(questions: Sequence[QA]) -> dict[str, list[tuple[str, str, str]]]:
    """The data set's own solutions that each filter rejects: where, the reason, and the end of the text."""
    draws = [
        Draw(Rationale.new(question=one.question, rationale=one.rationale, answer=one.answer, gold=one.answer), "")
        for one in questions
    ]
    found: dict[str, list[tuple[str, str, str]]] = {}
    for name, step in STACK.items():
        reasons = zip(questions, rejected([step], draws), strict=True)
        found[name] = [(one.source, reason, one.rationale[-160:]) for one, reason in reasons if reason]
    return found


def _rates(text: str) -> dict[str, float]:
    given = dict(pair.split("=") for pair in text.split(",")) if text else {}
    unknown = set(given) - set(FAULTS)
    rates = {**RATES, **{name: float(share) for name, share in given.items()}}
    if unknown or min(rates.values()) < 0 or sum(rates.values()) > 1:
        raise SystemExit(f"--rates: kinds are {', '.join(FAULTS)}, with shares that sum to 1 or less; found {text!r}")
    return rates


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=8, help="worked answers of each question")
    parser.add_argument("--rates", type=_rates, default=RATES, help="kind=share,…; the rest as they are")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if "MASHBILL_DATA" not in os.environ:
        raise SystemExit("MASHBILL_DATA, the folder of gsm8k_train_500.jsonl, is not set")
    path = Path(os.environ["MASHBILL_DATA"]) / "gsm8k_train_500.jsonl"
    source = ReadQa(path=str(path), marker="####", readable_by="numeric")
    questions = [one for one in source.read(path, path.name) if isinstance(one, QA)]
    draws = drawn(questions, options.draws, options.rates)
    found, gold = measured(draws), of_gold(questions)
    kinds = Counter(draw.fault for draw in draws)
    print(f"{len(draws)} worked answers of {len(questions)} questions, {kinds['']} of them good\n")
    for name, scores in found.items():
        print(f"{name}: " + "; ".join(f"{key} {value}" for key, value in scores.items() if key != "caught"))
        print("    caught: " + ", ".join(f"{fault} {share}" for fault, share in scores["caught"].items()))
    print("\nsolutions of the data set itself that are rejected:")
    for name, rows in gold.items():
        print(f"{name}: {len(rows)} of {len(questions)}")
        for where, reason, end in rows:
            print(f"    {where} {reason}: …{' '.join(end.split())[-110:]}")
    if options.json:
        write_json(options.json, {"draws": len(draws), "kinds": dict(kinds), "judges": found, "gold": gold})


if __name__ == "__main__":
    main()
