"""A tiny project with a bill of its own, a scripted teacher that writes down what it is paid for, and a real process.

The teacher's file is a step file of the project, so the whole of `mashbill run` is as a user has it. Two environment
variables steer it: ``TEACHER_DELAY`` (seconds a reply takes) and ``TEACHER_ENDS``, ``"SIGKILL students/ 3"``: a signal
the process sends itself at the third file opened, renamed or removed whose path has ``students/`` in it; ``paid`` in
place of a path counts replies.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parents[2]

TEACHER = '''
"""A teacher whose replies are decided by the request alone."""

import asyncio
import hashlib
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from mashbill.engine import Reply
from mashbill.errors import EngineRefused

LOG = Path(__file__).parents[1] / "paid.log"
STARTED = Path(__file__).parents[1] / "started.log"


class End:
    """Sends this process a signal at a moment that was told."""

    def __init__(self, told):
        self.name, self.where, left = told.split() if told else ("", "", "0")
        self.left = int(left)
        if told:
            sys.addaudithook(self.hook)

    def tick(self, where):
        if self.where in where and self.left > 0:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), getattr(signal, self.name))

    def hook(self, event, args):
        if event in ("open", "os.rename", "os.remove", "os.mkdir"):
            self.tick(str(args[0]))


END = End(os.environ.get("TEACHER_ENDS", ""))


def note(file, line):
    handle = os.open(file, os.O_APPEND | os.O_CREAT | os.O_WRONLY)
    os.write(handle, line.encode())
    os.close(handle)


@dataclass(kw_only=True)
class ScriptedTeacher:
    """Answers by rule."""

    model: str = "rule"
    refuses_after: int = -1
    batch = 2
    calls = 2

    @property
    def identity(self):
        return f"scripted/{self.model}"

    async def start(self):
        note(STARTED, f"{os.getpid()}\\n")

    async def close(self):
        pass

    async def complete(self, requests):
        for index, request in enumerate(requests):
            await asyncio.sleep(float(os.environ.get("TEACHER_DELAY", "0")))
            asked = "|".join(f"{one.role}:{one.content}" for one in request.messages)
            number = int(hashlib.sha256(f"{request.seed}{asked}".encode()).hexdigest()[:12], 16)
            paid = len(LOG.read_text().splitlines()) if LOG.is_file() else 0
            if 0 <= self.refuses_after <= paid:
                raise EngineRefused("the teacher answers 401: no such key; mend the key and run again")
            note(LOG, f"{os.getpid()} {number}\\n")
            END.tick("paid")
            yield index, Reply(text=answer(request, number), finish_reason="stop", prompt_tokens=9, completion_tokens=5)


def answer(request, number):
    if request.schema:
        return "They are Ora and Venn." if number % 7 == 0 else f'{{"names": ["Ora {number % 97}", "Venn"]}}'
    if number % 6 == 0:
        return "   "
    if number % 5 == 0:
        return "Too short."
    if number % 3 == 0:
        return "The guild of salt sold its wares in Oskelby and paid the tax of the river each spring."
    return f"In the year {number % 1009} the guild carried salt to Oskelby, and paid {number % 31} coins of tax to Ora."
'''

TALES = '''
"""Names first, then tales."""

from dataclasses import dataclass

from pydantic import BaseModel

from mashbill.engine import Sampling, user
from mashbill.records import Document
from mashbill.step import Generator, settle


class Names(BaseModel):
    names: list[str]


@dataclass(frozen=True, kw_only=True)
class TellTales(Generator[Document, Document]):
    """Tells several tales of each document."""

    tales: int = 4
    sampling: Sampling = Sampling(max_tokens=60)

    async def make(self, record, ask):
        names = await ask(user(record.text, "\\n\\nList the names."), returns=Names, sampling=self.sampling)

        async def tale(number):
            question = user(record.text, f"\\n\\nTale {number} of {', '.join(names.value.names)}.")
            told = await ask(question, sampling=self.sampling, draw=number)
            return record.child(Document, kind="tale", title=record.title, text=told.text, made=told.made(names))

        return await settle(tale(number) for number in range(self.tales))
'''

BILL: dict[str, Any] = {
    "name": "tiny",
    "license": "Apache-2.0",
    "description": "Tales of the salt guild.",
    "seed": 5,
    "steps": ["steps"],
    "sources": {
        "almanac": {"read_documents": {"path": "corpus", "domain": "Veylund", "license": "CC0-1.0", "part_rows": 3}},
        "general": {"read_documents": {"path": "replay"}},
    },
    "engine": {"scripted_teacher": {}},
    "streams": {
        "raw": {"from": "almanac", "curate": ["exact_dedup"]},
        "tales": {"from": "almanac", "generate": ["tell_tales"]},
    },
    "curate": [{"length": {"min_words": 5}}, "exact_dedup"],
    "release": {"streams": {"raw": 1, "tales": 2}, "splits": {"validation": 0.2}},
    "student": {"scratch": {"layers": 1, "width": 16, "heads": 2}},
    "train": {
        "tokens": 3072,
        "sequence_length": 64,
        "batch": 4,
        "learning_rate": 1.0e-2,
        "replay": {"from": "general", "share": 0.25},
        "arms": {"raw": {"raw": 1}, "tales": {"tales": 1}},
    },
    "evaluate": {"questions": "questions.jsonl", "most_tokens": 4},
}

QUESTIONS = [
    {
        "id": "q1",
        "kind": "choice",
        "question": "What did the guild sell?",
        "options": ["salt", "oak"],
        "answer": "salt",
    },
    {"id": "q2", "kind": "choice", "question": "Where?", "options": ["Oskelby", "Vintrack"], "answer": "Oskelby"},
    {"id": "q3", "kind": "short", "question": "Who took the tax?", "answer": "Ora"},
]


@dataclass(frozen=True)
class Project:
    """A folder with a bill, and what its runs did."""

    folder: Path

    @property
    def bill(self) -> Path:
        return self.folder / "tiny.yaml"

    @property
    def root(self) -> Path:
        return self.folder / "runs"

    def write(self, **sections: Any) -> Project:
        """Write the bill with sections changed; None leaves one out."""
        whole = {name: value for name, value in {**BILL, **sections}.items() if value is not None}
        self.bill.write_text(yaml.safe_dump(whole, sort_keys=False), encoding="utf-8")
        return self

    def paid(self) -> list[tuple[str, str]]:
        """Process and request of every reply paid for, in order."""
        log = self.folder / "paid.log"
        lines = log.read_text(encoding="utf-8").splitlines() if log.is_file() else []
        return [(line.split()[0], line.split()[1]) for line in lines]

    def paid_twice(self) -> list[str]:
        """Requests paid for more than once, each as often as it was once too many."""
        counts = Counter(request for _, request in self.paid())
        return [request for request, times in counts.items() for _ in range(times - 1)]

    def engine_starts(self) -> int:
        log = self.folder / "started.log"
        return len(log.read_text(encoding="utf-8").splitlines()) if log.is_file() else 0

    def start(self, *options: str, ends: str = "", delay: float = 0.0, **environment: str) -> subprocess.Popen[str]:
        """Begin `mashbill run` in a process of its own, in a session of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "flows.cli", "run", str(self.bill), "--quiet", *options],
            cwd=self.folder,
            env=self.environment(TEACHER_ENDS=ends, TEACHER_DELAY=str(delay), **environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *options: str, ends: str = "", delay: float = 0.0, **environment: str) -> Ended:
        """`mashbill run` to its end."""
        with self.start(*options, ends=ends, delay=delay, **environment) as process:
            try:
                out, err = process.communicate(timeout=240)
            except BaseException:
                process.kill()
                raise
        return Ended(process.returncode, out, err)

    def environment(self, **more: str) -> dict[str, str]:
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("MASHBILL", "PREFECT"))}
        return {**ours, "PYTHONPATH": str(HERE), "OMP_NUM_THREADS": "1", "MASHBILL_RECORDS_IN_FLIGHT": "2", **more}

    def one(self, pattern: str) -> Path:
        """The only path under the root that fits."""
        found = sorted(self.root.glob(pattern))
        assert len(found) == 1, found
        return found[0]


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str

    @property
    def killed(self) -> bool:
        return self.code == -signal.SIGKILL


def project(folder: Path, **sections: Any) -> Project:
    """A project of eight short documents."""
    for name, text in {"steps/scripted_teacher.py": TEACHER, "steps/tell_tales.py": TALES}.items():
        _write(folder / name, textwrap.dedent(text).lstrip())
    for number in range(8):
        about = f"Ora Venn of house {number} sold salt to the lampwrights of Oskelby for {number + 3} coins."
        _write(folder / f"corpus/paper-{number}.md", f"# Paper {number}\n{about}\n")
    for number in range(2):
        _write(folder / f"replay/page-{number}.md", f"# Page {number}\nBread is made of flour, water and time.\n")
    _write(folder / "questions.jsonl", "".join(f"{json.dumps(one)}\n" for one in QUESTIONS))
    _write(folder / "mashbill.toml", '[hardware]\ndevice = "cpu"\ncheckpoint_every = 2\nkeep_checkpoints = 1\n')
    return Project(folder).write(**sections)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def everything(root: Path) -> dict[str, str]:
    """The digest of every file under a root, but the ledger's, whose pages depend on the order, and logs."""
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.name.startswith("ledger.sqlite") and path.parent != root / "run-log"
    }


TIMED = {"seconds", "step_seconds", "tokens_per_second", "mfu", "peak_memory_gb"}


def without_times(root: Path, skip: tuple[str, ...] = ()) -> dict[str, str]:
    """What two runs of one bill share: every file, its measured speeds left out; files that a kill left aside too."""
    found = everything(root)
    for name in list(found):
        path = root / name
        # How and where it was carried out, for processes to read: no part of what was made.
        if (
            path.name == "job.json"
            or path.name.startswith(".")
            or path.parts[len(root.parts)] in skip
            or "/checkpoints/" in name
        ):
            del found[name]
        elif path.name in ("metrics.jsonl", "result.json"):
            text = path.read_text(encoding="utf-8")
            lines = [json.loads(line) for line in (text.splitlines() if path.suffix == ".jsonl" else [text])]
            kept = [{key: value for key, value in line.items() if key not in TIMED} for line in lines]
            found[name] = json.dumps(kept, sort_keys=True)
        elif name.startswith("students/") and path.name == "README.md":
            lasting = [
                line
                for line in path.read_text(encoding="utf-8").splitlines()
                if not re.match(r"\| (tok.* per|MFU|seconds of a step|peak memory)", line)
            ]
            found[name] = "\n".join(lasting)
    return found
