r"""A small language of meeting notes in which every constraint can be checked, and a teacher that knows the answer.

Notes of five items, an instruction with two constraints, and the answer::

    context      salt low \n pans leak \n oil sold \n lamps lit \n nets torn
    instruction  write the minutes . Use exactly 2 bullet points . Start with " ora " .
    answer       ora \n - salt low \n - pans leak

A constraint is plain English and read by `mashbill.constraints`, by the teacher as by the check. There are five sorts
(bullets, a numbered list, how many, what stands first or last, what is left out); some numbers and words are kept back
from training in their role, though a student meets the words themselves in the notes. Other tasks of the same notes
(``say the first note .``) stand for everything else a student should know, and for what rewriting drifts to.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from mashbill.constraints import checkers_in
from mashbill.constraints.edges import Edges
from mashbill.constraints.form import Form
from mashbill.constraints.item_count import ItemCount
from mashbill.constraints.keywords import Keywords
from mashbill.fingerprint import seed_of

BASE = "write the minutes ."
TASK_TYPE = "meeting minutes"
OTHER_TASKS = ("say the first note .", "say the last note .", "say the second note .", "say the notes in reverse .")
"""What is no minutes: general data, and where rewriting in breadth goes."""
CARE = ("with care .", "in full .", "step by step .", "for everyone .")
"""What rewriting in depth adds: it changes no answer."""
_NOUNS = (
    "salt pans oil lamps nets rope boats tar bread ale wool barley locks gates bridges carts mills wells roofs walls "
    "coal iron glass paper ink seed hay honey wax cloth"
)
_STATES = "low leak sold lit torn full due late cheap safe lost new old wet dry"
NOUNS, STATES = _NOUNS.split(), _STATES.split()
NAMES = ["ora", "venn", "perrick", "toll", "ash", "birch"]
WORDS = (*NOUNS, *NAMES)
ITEMS = 5
KEPT_BACK = 10
"""Words of `WORDS` that no training instruction names; they stand in notes like any other."""
COUNT_KEPT_BACK = 3
_TEXTS = {
    "bullets": ("Use bullet points",),
    "numbered": ("Use a numbered list",),
    "count": tuple(f"Use exactly {number} bullet points" for number in range(1, ITEMS)),
    "first": tuple(f'Start with " {word} "' for word in WORDS),
    "last": tuple(f'End with " {word} "' for word in WORDS),
    "without": tuple(f'Do not use " {word} "' for word in NOUNS),
}
FORMS = ("bullets", "numbered", "count")
"""Of these an instruction has one at most."""


@dataclass(frozen=True)
class Rules:
    """The constraints of one seed: what may be trained on and what is kept back."""

    seen: dict[str, tuple[str, ...]]
    unseen: dict[str, tuple[str, ...]]

    @classmethod
    def of(cls, seed: int) -> Rules:
        """Words and a number are drawn to be kept back in their roles."""
        rng = random.Random(seed_of("tcia_task", seed))
        back = {f'" {word} "' for word in rng.sample(NOUNS, KEPT_BACK - 2) + rng.sample(NAMES, 2)}

        def held(text: str) -> bool:
            return any(word in text for word in back) or f"exactly {COUNT_KEPT_BACK} " in text

        return cls(
            seen={sort: tuple(text for text in texts if not held(text)) for sort, texts in _TEXTS.items()},
            unseen={sort: kept for sort, texts in _TEXTS.items() if (kept := tuple(filter(held, texts)))},
        )

    @property
    def seen_texts(self) -> list[str]:
        """Every constraint that may be trained on."""
        return [text for texts in self.seen.values() for text in texts]

    def draw(self, rng: random.Random, unseen: bool) -> tuple[str, ...]:
        """One to three constraints that can be kept together; with `unseen`, one of them was never trained on."""
        sorts = list(self.unseen if unseen else self.seen)
        first = rng.choice(sorts)
        chosen = {first: rng.choice((self.unseen if unseen else self.seen)[first])}
        for sort in rng.sample(list(self.seen), rng.randint(0, 2)):
            if sort not in chosen and not (sort in FORMS and any(one in FORMS for one in chosen)):
                chosen[sort] = rng.choice(self.seen[sort])
        words = [word for text in chosen.values() for word in WORDS if f'" {word} "' in text]
        return tuple(chosen.values()) if len(set(words)) == len(words) else self.draw(rng, unseen)


def notes(seed: int, sort: str) -> Iterator[str]:
    """Notes of a meeting without end."""
    rng = random.Random(seed_of("tcia_notes", seed, sort))
    while True:
        yield " \n ".join(f"{noun} {rng.choice(STATES)}" for noun in rng.sample(NOUNS, ITEMS))


def answer(instruction: str, context: str) -> str:
    """What the teacher says: the instruction's task done on the notes, its constraints kept."""
    items = context.split(" \n ")
    task = next((one for one in OTHER_TASKS if one in instruction), BASE)
    if task == OTHER_TASKS[3]:
        items = items[::-1]
    elif task != BASE:
        items = [items[{"first": 0, "last": -1, "second": 1}[task.split()[2]]]]
    checkers = [one.checker for one in checkers_in(instruction)]
    without = {word for one in checkers if isinstance(one, Keywords) for word in one.words}
    items = [one for one in items if one.split()[0] not in without]
    for one in checkers:
        if isinstance(one, ItemCount):
            items = items[: one.bound.least]
    forms = {one.form for one in checkers if isinstance(one, Form)}
    if "numbered list" in forms:
        lines = [f"{at}. {one}" for at, one in enumerate(items, 1)]
    elif "bulleted list" in forms or any(isinstance(one, ItemCount) for one in checkers):
        lines = [f"- {one}" for one in items]
    else:
        lines = items
    edges = {one.at: one.text for one in checkers if isinstance(one, Edges)}
    lines = [*([edges["start"]] if "start" in edges else []), *lines, *([edges["end"]] if "end" in edges else [])]
    return " \n ".join(lines)


def instruction_of(constraints: Sequence[str], task: str = BASE) -> str:
    """A request with its constraints, as the language writes them."""
    return " ".join([task, *(f"{one} ." for one in constraints)])


def asked(seed: int, count: int, unseen: bool) -> list[tuple[tuple[str, ...], str]]:
    """Constraints and notes to test a student with; what is to be left out stands in the notes."""
    rules, rng = Rules.of(seed), random.Random(seed_of("tcia_asked", seed, unseen))
    found = []
    for text in itertools.islice(notes(seed, f"test-{unseen}"), count):
        constraints, items = rules.draw(rng, unseen), text.split(" \n ")
        for one in constraints:
            word = one.split()[-2]
            if one.startswith("Do not use") and not any(item.startswith(f"{word} ") for item in items):
                at = rng.randrange(ITEMS)
                items[at] = f"{word} {items[at].split()[1]}"
        found.append((constraints, " \n ".join(items)))
    return found


def task_tokenizer() -> PreTrainedTokenizerFast:
    """A token for each word, mark and end of line of the language."""
    said = [BASE, *OTHER_TASKS, *CARE, *(text for texts in _TEXTS.values() for text in texts)]
    words = [*NOUNS, *STATES, *NAMES, *(word for text in said for word in text.split())]
    marks = ["\n", "-", ".", '"', *(f"{at}." for at in range(1, ITEMS + 1)), "Question:", "Answer:"]
    symbols = ["<|endoftext|>", "<|unk|>", *dict.fromkeys([*marks, *words])]
    inner = Tokenizer(models.WordLevel({word: at for at, word in enumerate(symbols)}, unk_token="<|unk|>"))
    split = [pre_tokenizers.Split(Regex(" +"), "removed"), pre_tokenizers.Split("\n", "isolated")]
    inner.pre_tokenizer = pre_tokenizers.Sequence(split)
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, eos_token=symbols[0], unk_token=symbols[1], clean_up_tokenization_spaces=False
    )
