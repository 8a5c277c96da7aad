"""Numbers by a model: those of its definition, whatever shares the batch, and limits that cut at either end."""

from __future__ import annotations

import doctest
import functools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import processors
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForSequenceClassification

from filters import model_score
from filters.model_score import ModelScore
from mashbill.errors import RegistryError, SettingsError
from mashbill.records import QA, Document, from_table, to_table
from mashbill.scorers import load_scorer
from synth.engines import perplexity, reward, scoring
from tests.filters.support import MemoryParts
from tests.synth.transformers_models import CONTEXT, tiny_tokenizer, write_tiny

TEXTS = ["Salt melts.", "xy", "Ora Venn founded the Salt Guild in 1842, they say.", "zz" * 40]


@pytest.fixture(scope="module")
def causal(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_tiny(tmp_path_factory.mktemp("causal")))


@pytest.fixture(scope="module", params=[1, 3], ids=["one output", "three labels"])
def classifier(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    place = tmp_path_factory.mktemp("classifier")
    torch.manual_seed(1)
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = None
    labels = {0: "contradiction", 1: "entailment", 2: "neutral"} if request.param == 3 else {0: "reward"}
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=1,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        initializer_range=0.6,
        pad_token_id=0,
        num_labels=request.param,
        id2label=labels,
    )
    LlamaForSequenceClassification(config).save_pretrained(place)
    tokenizer.save_pretrained(place)
    return str(place)


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    yield
    for module in (perplexity, reward):
        cached: functools._lru_cache_wrapper[Any] = module._loaded
        cached.cache_clear()


def by_hand(place: str, prompt: str, text: str) -> float:
    tokenizer, model = tiny_tokenizer(), AutoModelForCausalLM.from_pretrained(place)
    before = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    ids = before + tokenizer(text, add_special_tokens=False)["input_ids"]
    with torch.inference_mode():
        logs = model(torch.tensor([ids])).logits[0].log_softmax(dim=-1)
    found = [float(logs[at - 1, ids[at]]) for at in range(max(1, len(before)), len(ids))]
    return math.exp(-sum(found) / len(found))


def test_perplexity_is_that_of_the_text_after_the_prompt(causal: str) -> None:
    pairs = [("", text) for text in TEXTS] + [("Who founded the guild?", TEXTS[2])]
    found = load_scorer("perplexity", causal).score(pairs)
    assert found == pytest.approx([by_hand(causal, *pair) for pair in pairs], rel=1e-4)
    assert load_scorer("perplexity", causal).score(pairs[2:3]) == pytest.approx(found[2:3], rel=1e-4)


def test_a_tokenizer_that_begins_with_a_token_of_its_own_has_the_first_word_counted(tmp_path: Path) -> None:
    place = write_tiny(tmp_path)
    tokenizer = tiny_tokenizer()
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)]
    )
    tokenizer.save_pretrained(place)
    model = AutoModelForCausalLM.from_pretrained(place)
    ids = [1, *tiny_tokenizer()("xy", add_special_tokens=False)["input_ids"]]
    with torch.inference_mode():
        logs = model(torch.tensor([ids])).logits[0].log_softmax(dim=-1)
    wanted = math.exp(-float(logs[0, ids[1]] + logs[1, ids[2]]) / 2)
    assert load_scorer("perplexity", str(place)).score([("", "xy")]) == pytest.approx([wanted], rel=1e-4)


def test_a_blank_text_has_no_perplexity_and_a_long_one_is_cut(causal: str) -> None:
    scorer = load_scorer("perplexity", causal)
    blank, single, long, longer, asked = scorer.score(
        [("", " \n"), ("", "x"), ("", "salt " * 200), ("", "salt " * 400), ("why " * 400, "salt " * 400)]
    )
    assert np.isnan(blank)
    assert np.isnan(single), "nothing comes before its one token"
    assert long == longer
    assert np.isfinite(asked)
    assert len(scorer.score([])) == 0


def test_a_reward_is_the_models_output_whatever_shares_the_batch(classifier: str) -> None:
    scorer = load_scorer("reward", classifier)
    pairs = [("Who?", text) for text in TEXTS] + [("", "Salt."), ("Who?", " ")]
    found = scorer.score(pairs)
    alone = [float(scorer.score([pair])[0]) for pair in pairs[:-1]]
    assert found[:-1] == pytest.approx(alone, abs=1e-4)
    assert np.isnan(found[-1])
    model = LlamaForSequenceClassification.from_pretrained(classifier)
    with torch.inference_mode():
        logits = model(**tiny_tokenizer()("Salt.", return_tensors="pt")).logits[0]
    wanted = logits[0] if len(logits) == 1 else logits.softmax(0)[1]
    assert found[4] == pytest.approx(float(wanted), abs=1e-4)


def test_a_reward_model_with_a_chat_template_reads_two_turns(classifier: str) -> None:
    tokenizer = tiny_tokenizer()
    ids = reward._tokens(tokenizer, "Who?", "Ora.")
    assert tokenizer.decode(ids) == "<s>u:Who?</s><s>a:Ora.</s>"


def test_what_the_weights_are_is_identity(causal: str, tmp_path: Path) -> None:
    same, other = write_tiny(tmp_path / "same"), write_tiny(tmp_path / "other", seed=3)
    identities = [load_scorer("perplexity", str(place)).identity for place in (causal, same, other)]
    assert identities[0] == identities[1] != identities[2]
    assert load_scorer("perplexity", "org/name", "abc").identity == "perplexity/org/name@abc"
    assert load_scorer("reward", "org/name", "abc").identity == "reward/org/name@abc"
    with pytest.raises(SettingsError, match="for a model by name give its revision too"):
        _ = load_scorer("perplexity", "org/name").identity
    with pytest.raises(RegistryError, match=r"no scorer is called 'perplexty' \(did you mean perplexity\?\)"):
        load_scorer("perplexty", "x")


def test_a_model_that_cannot_be_loaded_says_so(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"the model .* cannot be loaded"):
        load_scorer("perplexity", str(tmp_path)).score([("", "salt")])


def test_rows_outside_the_limits_go_with_their_number(causal: str) -> None:
    rows = [Document.new(text=text) for text in [*TEXTS, " "]]
    numbers = load_scorer("perplexity", causal).score([("", text) for text in TEXTS])
    low, high = sorted(numbers)[0], sorted(numbers)[-1]
    step = ModelScore(scorer="perplexity", checkpoint=causal, least=low * 1.01, most=high * 0.99)
    (output,) = step.run(MemoryParts([to_table(rows, Document)]))
    kept, gone = from_table(output.kept, Document), output.rejects.to_pylist()
    assert sorted(row.scores[0].value for row in kept) == pytest.approx(sorted(numbers)[1:3], rel=1e-3)
    found = {row["reason"]: row["value"] for row in gone}
    assert found.pop("nothing_to_score") is None
    assert found == pytest.approx({"perplexity_too_low": low, "perplexity_too_high": high}, rel=1e-3)


def test_an_answer_is_scored_after_its_question(causal: str) -> None:
    rows = [QA.new(question="Who founded the guild?", answer=TEXTS[2])]
    step = ModelScore(scorer="perplexity", checkpoint=causal, columns=("answer",), prompt=("question",))
    (output,) = step.run(MemoryParts([to_table(rows, QA)]))
    (row,) = from_table(output.kept, QA)
    assert row.scores[0].value == pytest.approx(by_hand(causal, rows[0].question, TEXTS[2]), rel=1e-3)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "give either a model by name or a checkpoint"),
        ({"model": "a", "checkpoint": "b"}, "give either a model by name or a checkpoint"),
        ({"model": "a", "columns": ()}, "none passes"),
        ({"model": "a", "least": 2, "most": 1}, "least 2 and most 1: none passes"),
    ],
)
def test_fields_that_mean_nothing_are_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ModelScore(scorer="perplexity", **fields)


@pytest.mark.parametrize("module", [scoring, model_score])
def test_the_examples_of_the_docstrings_are_true(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]
