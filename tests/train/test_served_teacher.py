"""A teacher behind an endpoint that answers as vLLM does: what is read of it, and what is not accepted."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest

from mashbill.errors import UserError
from train.distill_spec import Distill, TeacherSpec
from train.served_teacher import KEY, ServedTeacher

Answer = Callable[[dict[str, Any]], tuple[int, Any]]


def entries(prompt: list[int], k: int) -> list[Any]:
    """As vLLM: nothing for the first token; then the top k, and the text's own token whatever its rank."""
    found: list[Any] = [None]
    for token in prompt[1:]:
        top = {str(10 + rank): {"logprob": math.log(0.5 / 2**rank), "rank": rank + 1} for rank in range(k)}
        top.setdefault(str(token), {"logprob": -9.0, "rank": 500})
        found.append(dict(reversed(top.items())))  # in no order to rely on
    return found


def right(body: dict[str, Any]) -> tuple[int, Any]:
    return 200, {"choices": [{"prompt_logprobs": entries(body["prompt"], body["prompt_logprobs"])}]}


class Server:
    """A real server on a port of its own, whose answers a test sets."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.answer: Answer = right
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.bodies.append({**body, "path": self.path})
                outer.keys.append(self.headers.get("Authorization"))
                status, said = outer.answer(body)
                raw = json.dumps(said).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *_: object) -> None:
                """Nothing is printed."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"

    def teacher(self, k: int = 3, vocabulary: int = 258) -> ServedTeacher:
        spec = Distill(teacher=TeacherSpec(endpoint=self.url, served="qwen3-4b@9c92"), k=k)
        return ServedTeacher(spec, vocabulary=vocabulary, pause=0.001)


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.http.shutdown()
    thread.join()
    made.http.server_close()


TEXT = np.array([41, 11, 99], np.int32)


def test_top_entries_come_in_order_of_rank_with_the_mass_of_all_others(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY, "secret")
    one, short = server.teacher().signals([TEXT, np.array([4], np.int32)], ["r1", "r2"])
    assert (one.positions, short.positions) == (2, 0)
    # The text's own 99, of rank 500, is not among the top.
    assert one.columns["ids"].tolist() == [10, 11, 12, 10, 11, 12]
    np.testing.assert_allclose(np.exp(one.columns["log_probs"].astype(float)), [0.5, 0.25, 0.125] * 2, rtol=1e-3)
    np.testing.assert_allclose(np.exp(one.columns["log_tail"].astype(float)), [0.125] * 2, rtol=1e-2)
    (body,) = server.bodies  # a text of one token asks nothing
    assert body["path"] == "/v1/completions"
    assert (body["model"], body["prompt"], body["prompt_logprobs"]) == ("qwen3-4b", [41, 11, 99], 3)
    assert server.keys == ["Bearer secret"]


def test_a_momentary_fault_is_tried_again(server: Server) -> None:
    faults = iter([(503, {"error": "busy"}), (429, {"error": "slowly"})])
    server.answer = lambda body: next(faults, None) or right(body)
    (signal,) = server.teacher().signals([TEXT], ["r1"])
    assert signal.positions == 2
    assert len(server.bodies) == 3


def test_a_refusal_says_what_the_server_said_and_what_to_do(server: Server) -> None:
    server.answer = lambda _: (400, {"error": "Requested prompt logprobs of 64, which is greater than max allowed: 20"})
    with pytest.raises(UserError, match=r"record r1 \(400: .*max allowed: 20.*--max-logprobs 64"):
        server.teacher(k=64).signals([TEXT], ["r1"])
    assert len(server.bodies) == 1


def test_a_server_that_stays_away_ends_the_run(server: Server) -> None:
    server.answer = lambda _: (503, {})
    with pytest.raises(UserError, match=r"did not score record r1 \(503"):
        server.teacher().signals([TEXT], ["r1"])
    gone = ServedTeacher(
        Distill(teacher=TeacherSpec(endpoint="http://127.0.0.1:9/v1", served="x")), vocabulary=9, pause=0.001
    )
    with pytest.raises(UserError, match=r"did not score record r1 .*ConnectorError"):
        gone.signals([TEXT], ["r1"])


def with_entries(change: Callable[[list[Any]], object]) -> Answer:
    def answer(body: dict[str, Any]) -> tuple[int, Any]:
        found = entries(body["prompt"], body["prompt_logprobs"])
        change(found)
        return 200, {"choices": [{"prompt_logprobs": found}]}

    return answer


REFUSED: list[tuple[Answer, str]] = [
    (lambda _: (200, {"choices": [{"text": "hi"}]}), "without prompt_logprobs; only vLLM's"),
    (with_entries(lambda found: found.pop()), "scored 2 tokens of record r1, which has 3"),
    (with_entries(lambda found: found[1].pop("10")), "gives 2 entries at token 2 of record r1, and the 3 likeliest"),
    (with_entries(lambda found: found[2].pop("10")), "gives 3 entries at token 3 of record r1, and the 3 likeliest"),
    (with_entries(lambda found: found[2]["10"].update(logprob=math.nan)), "at token 3 of record r1, and the 3"),
    (with_entries(lambda found: found[2].update({"300": {"logprob": -0.1, "rank": 1}})), "gives token 300 for record"),
]


@pytest.mark.parametrize(("answer", "why"), REFUSED)
def test_an_answer_that_cannot_be_right_is_refused(server: Server, answer: Answer, why: str) -> None:
    server.answer = answer
    with pytest.raises(UserError, match=why):
        server.teacher().signals([TEXT], ["r1"])
