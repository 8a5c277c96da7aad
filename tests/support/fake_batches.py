"""A provider's batch endpoint on 127.0.0.1, which works by the same rule as the online one and fails on order.

::

    async with FakeBatches() as server:
        server.next += [expired(3), shuffled]
        server.http["POST batches"].append(status(500))

Each batch takes the next function in `next`, if one is left, and is changed by it; each HTTP request takes the next
fault of its kind (``POST files``, ``POST batches``, ``GET batches``, ``GET batch``, ``GET content``). `event` is told
what happens, before and after: what is killed there was killed between two phases.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

from tests.contract.fake_openai import FakeOpenai, Fault


@dataclass
class Job:
    """One batch at the provider."""

    id: str
    input_file: str
    metadata: dict[str, str]
    rows: list[dict[str, Any]]
    """Its requests: custom_id and body."""
    looks: int = 1
    """Looks until it ends."""
    status: str = "completed"
    """How it ends."""
    output: list[bytes] = field(default_factory=list)
    errors: list[bytes] = field(default_factory=list)
    failure: list[dict[str, str]] = field(default_factory=list)
    hide_output: int = 0
    """Looks for which it has ended and names no file."""
    cancelled: bool = False


Change = Callable[[Job], None]


def expired(count: int) -> Change:
    """The last requests were not served in time."""

    def change(job: Job) -> None:
        job.status = "expired"
        for line in job.output[-count:]:
            key = orjson.loads(line)["custom_id"]
            error = {"code": "batch_expired", "message": "This request could not be executed in time."}
            job.errors.append(line_of({"custom_id": key, "response": None, "error": error}))
        del job.output[-count:]

    return change


def answered(count: int, code: int, message: str = "no") -> Change:
    """The first requests are answered with an error."""

    def change(job: Job) -> None:
        for line in job.output[:count]:
            response = {"status_code": code, "body": {"error": {"message": message}}}
            row = {"custom_id": orjson.loads(line)["custom_id"], "response": response, "error": None}
            job.errors.append(line_of(row))
        del job.output[:count]

    return change


def missing(count: int) -> Change:
    """The first requests have no line at all."""

    def change(job: Job) -> None:
        del job.output[:count]

    return change


def garbled(count: int) -> Change:
    """The first lines are cut in half, and one is no JSON."""

    def change(job: Job) -> None:
        job.output[:count] = [line[: len(line) // 2].rstrip(b"\n") + b"\n" for line in job.output[:count]]
        job.output.append(b"<html>\xff</html>\n")

    return change


def shuffled(job: Job) -> None:
    """Lines in another order."""
    random.Random(3).shuffle(job.output)


def doubled(job: Job) -> None:
    """Every line twice, and one of a stranger."""
    job.output += [*job.output, line_of({"custom_id": "stranger", "response": {}, "error": None})]


def slow(looks: int) -> Change:
    """So many looks until it ends."""

    def change(job: Job) -> None:
        job.looks = looks

    return change


def refused_whole(code: str, message: str = "no room") -> Change:
    """It fails before any request is served."""

    def change(job: Job) -> None:
        job.status, job.output = "failed", []
        job.failure = [{"code": code, "message": message}]

    return change


def hidden(looks: int) -> Change:
    """It has ended, and names its output file only later."""

    def change(job: Job) -> None:
        job.hide_output = looks

    return change


def line_of(row: dict[str, Any]) -> bytes:
    """A line of an output or error file."""
    return orjson.dumps({"id": "batch_req_1", **row}) + b"\n"


class FakeBatches(FakeOpenai):
    """The server; use as an async context manager."""

    def __init__(self, *, key: str = "", context: int = 4096) -> None:
        super().__init__(key=key, context=context)
        self.next: deque[Change] = deque()
        self.http: defaultdict[str, deque[Fault]] = defaultdict(deque)
        self.files: dict[str, bytes] = {}
        self.jobs: dict[str, Job] = {}
        self.paid: Counter[str] = Counter()
        """custom_id -> batches that it was served in."""
        self.event: Callable[[str], None] = lambda _: None
        self.keeps_metadata = True

    def add_routes(self, app: web.Application) -> None:
        """Files and batches."""
        for method, path, kind, handler in (
            ("POST", "/v1/files", "POST files", self._upload),
            ("GET", "/v1/files/{id}/content", "GET content", self._content),
            ("POST", "/v1/batches", "POST batches", self._create),
            ("GET", "/v1/batches", "GET batches", self._list),
            ("GET", "/v1/batches/{id}", "GET batch", self._look),
            ("POST", "/v1/batches/{id}/cancel", "POST cancel", self._cancel),
        ):
            app.router.add_route(method, path, self._faulty(kind, handler))

    def _faulty(self, kind: str, handler: Any) -> Any:
        async def handle(request: web.Request) -> web.StreamResponse:
            body = await request.read()
            if self.key and request.headers.get("Authorization") != f"Bearer {self.key}":
                return web.json_response({"error": {"message": "bad key " + str(request.headers)}}, status=401)
            self.event(f"before {kind}")
            if self.http[kind]:
                return await self.http[kind].popleft()(request)
            answer: web.StreamResponse = handler(request, body)
            self.event(f"after {kind}")
            return answer

        return handle

    def _upload(self, request: web.Request, body: bytes) -> web.StreamResponse:
        boundary = body.split(b"\r\n", 1)[0]
        parts = {name_in(part): part.split(b"\r\n\r\n", 1)[1][:-2] for part in body.split(boundary)[1:-1]}
        assert parts["purpose"] == b"batch"
        file_id = f"file-{len(self.files)}"
        self.files[file_id] = parts["file"]
        return web.json_response({"id": file_id, "object": "file", "purpose": "batch", "bytes": len(parts["file"])})

    def _create(self, request: web.Request, body: bytes) -> web.StreamResponse:
        wanted = orjson.loads(body)
        assert wanted["endpoint"] == "/v1/chat/completions"
        assert wanted["completion_window"] == "24h"
        rows = [orjson.loads(line) for line in self.files[wanted["input_file_id"]].splitlines()]
        keys = [row["custom_id"] for row in rows]
        assert len(set(keys)) == len(keys), "a custom_id twice in one batch"
        job = Job(f"batch_{len(self.jobs)}", wanted["input_file_id"], wanted.get("metadata") or {}, rows)
        for row in rows:
            self._serve(job, row)
        if self.next:
            self.next.popleft()(job)
        self.paid.update(key for key in (key_of(line) for line in job.output) if key)
        self.jobs[job.id] = job
        return web.json_response(self._told(job, ended=False))

    def _serve(self, job: Job, row: dict[str, Any]) -> None:
        answer = self._answer(row["body"])
        assert isinstance(answer.body, bytes)
        response = {"status_code": answer.status, "request_id": "r", "body": orjson.loads(answer.body)}
        line = line_of({"custom_id": row["custom_id"], "response": response, "error": None})
        (job.output if answer.status == 200 else job.errors).append(line)

    def _list(self, request: web.Request, _: bytes) -> web.StreamResponse:
        newest, after = list(reversed(self.jobs.values())), request.query.get("after")
        start = 1 + next((i for i, job in enumerate(newest) if job.id == after), -1)
        page = newest[start : start + int(request.query["limit"])]
        data = [self._told(job, ended=job.looks <= 0) for job in page]
        return web.json_response({"object": "list", "data": data, "has_more": start + len(page) < len(newest)})

    def _look(self, request: web.Request, _: bytes) -> web.StreamResponse:
        job = self.jobs.get(request.match_info["id"])
        if job is None:
            return web.json_response({"error": {"message": "No batch found"}}, status=404)
        job.looks -= 1
        if job.looks < 0 and job.hide_output:
            job.hide_output -= 1
            return web.json_response(self._told(job, ended=True) | {"output_file_id": None})
        return web.json_response(self._told(job, ended=job.looks < 0))

    def _cancel(self, request: web.Request, _: bytes) -> web.StreamResponse:
        job = self.jobs[request.match_info["id"]]
        job.looks, job.status, job.cancelled = 0, "cancelled", True
        return web.json_response(self._told(job, ended=False) | {"status": "cancelling"})

    def _content(self, request: web.Request, _: bytes) -> web.StreamResponse:
        name = request.match_info["id"]
        if name not in self.files:
            return web.json_response({"error": {"message": "No such file"}}, status=404)
        return web.Response(body=self.files[name])

    def _told(self, job: Job, *, ended: bool) -> dict[str, Any]:
        counts = {"total": len(job.rows), "completed": len(job.output), "failed": len(job.errors)}
        told: dict[str, Any] = {"id": job.id, "object": "batch", "input_file_id": job.input_file, "created_at": 1}
        told |= {"status": job.status if ended else "in_progress", "metadata": job.metadata}
        if not self.keeps_metadata:
            told["metadata"] = None
        told["request_counts"] = counts if ended else {"total": len(job.rows), "completed": 0, "failed": 0}
        told["output_file_id"] = self._file_of(job.id, "output", job.output) if ended else None
        told["error_file_id"] = self._file_of(job.id, "errors", job.errors) if ended else None
        told["errors"] = {"data": job.failure} if ended and job.failure else None
        return told

    def _file_of(self, job: str, kind: str, lines: list[bytes]) -> str | None:
        name = f"file-{job}-{kind}"
        self.files[name] = b"".join(lines)
        return name if lines else None


def key_of(line: bytes) -> str | None:
    """Whose line it is."""
    try:
        return str(orjson.loads(line)["custom_id"])
    except orjson.JSONDecodeError:
        return None


def name_in(part: bytes) -> str:
    """The name of a part of a form."""
    return part.split(b'name="', 1)[1].split(b'"', 1)[0].decode()
