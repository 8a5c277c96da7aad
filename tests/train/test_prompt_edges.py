"""What a chat template may do to what it is given, and the tokens that end an answer under it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mashbill.errors import BillError
from mashbill.records import QA, Rationale
from tests.train.supervised_plans import tables
from tests.train.test_supervision import CHATML, QUESTION, chat, chatty
from train.example_tokens import Rejected
from train.identity import template_identity
from train.prompt_form import prompt_form
from train.recipe import Scratch, StudentSpec
from train.sampler import Asked, Sampler
from train.student import Student, load_student

CUTS_THOUGHTS = CHATML.replace("message['content'] +", "message['content'].split('</think>')[-1] +")
"""As templates of reasoning models do: what was thought is not shown to them again."""
NO_SYSTEM = CHATML.replace("{% for message in messages %}", "{% for message in messages if message.role != 'system' %}")


def rows(*rationales: str) -> list[Rationale]:
    return [Rationale.new(question=f"Which {at}?", rationale=one, answer="salt") for at, one in enumerate(rationales)]


def test_a_rationale_that_the_template_leaves_out_is_not_passed_over() -> None:
    spec = chat(target="full_cot", rationale_lead="<think>\n", answer_lead="\n</think>\n\nAnswer: ")
    with pytest.raises(BillError, match="leaves out"):
        prompt_form(spec, chatty(CUTS_THOUGHTS))
    # Where only a row's own text is cut, the row is rejected.
    rejected = Rejected()
    made = tables(
        {"w": rows("Plain.", "So </think> it is.")},
        chatty(CUTS_THOUGHTS),
        chat(target="full_cot"),
        sequence=400,
        batch=2,
        rejected=rejected,
    )
    assert sum(table.num_rows for table in made["w"]) == 1
    assert rejected.counts("w") == {"changed_by_template": 1}


def test_what_a_template_sets_apart_by_other_space_is_kept() -> None:
    spaced = CHATML.replace("message['content'] +", "message['content'].replace('</think>', '\n</think>\n\n') +")
    spec = chat(target="full_cot", rationale_lead="<think>", answer_lead="</think>Answer: ")
    form = prompt_form(spec, chatty(spaced))
    assert "\n</think>\n\nAnswer: Ora" in form.completion(QUESTION, "", "<think>Hm.</think>Answer: Ora")


def test_a_question_that_the_template_changes_is_rejected() -> None:
    rejected = Rejected()
    asked = [QA.new(question="What is x</think>y?", answer="Ora"), QA.new(question="Who?", answer="Ora")]
    made = tables({"q": asked}, chatty(CUTS_THOUGHTS), chat(), sequence=400, batch=2, rejected=rejected)
    assert sum(table.num_rows for table in made["q"]) == 1
    assert rejected.counts("q") == {"changed_by_template": 1}


def test_a_system_prompt_that_the_template_leaves_out_is_refused() -> None:
    with pytest.raises(BillError, match="leaves out the system prompt"):
        prompt_form(chat(system="Be brief."), chatty(NO_SYSTEM))
    assert prompt_form(chat(), chatty(NO_SYSTEM)).prompt(QUESTION).endswith("assistant\n")


@pytest.mark.parametrize(
    "dated",
    [
        "{%- set form = '%d %b %Y' -%}{{ strftime_now(form) }}",
        "{% if strftime_now is defined %}{{ strftime_now('%d %b %Y') }}{% endif %}",
        '{%- set form = "%d %b %Y" -%}{{ strftime_now(format=form) }}',
    ],
)
def test_the_day_is_no_part_of_a_prompt_however_it_is_asked_for(dated: str) -> None:
    assert prompt_form(chat(), chatty(dated + "\n" + CHATML)).prompt(QUESTION).startswith("26 Jul 2024")


@pytest.fixture
def turns() -> Student:
    """A student whose chat template ends a turn with a token that is not its tokenizer's `eos_token`, as Gemma's."""
    tokenizer = chatty()
    made = load_student(StudentSpec(scratch=Scratch(layers=1, width=16, heads=2)), context=256)
    made.model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    return Student(made.model, tokenizer)


def test_the_token_that_ends_a_turn_ends_an_answer(turns: Student) -> None:
    form = prompt_form(chat(), turns.tokenizer)
    end = turns.tokenizer.inner.convert_tokens_to_ids("<|im_end|>")
    (learned,) = form.completion_ids([form.completion(QUESTION, "", "Ora")])
    assert learned[-1] == end != turns.tokenizer.inner.eos_token_id
    assert turns.tokenizer.ends == sorted({end, turns.tokenizer.end})

    class Always(torch.nn.Module):
        def forward(self, hidden: torch.Tensor) -> torch.Tensor:
            logits = torch.zeros(*hidden.shape[:-1], len(turns.tokenizer))
            logits[..., end] = 9.0
            return logits

    turns.model.lm_head = Always()
    (text,) = Sampler(model=turns.model, tokenizer=turns.tokenizer, most_tokens=5).write([Asked((50, 51))])
    assert (text.finish, text.tokens, text.text) == ("stop", 1, "")


def test_settings_of_generation_that_a_checkpoint_carries_change_no_answer(turns: Student) -> None:
    asked = [Asked((50, 51, 52), seed) for seed in range(3)]
    for temperature in (0.0, 1.0):
        sampler = Sampler(model=turns.model, tokenizer=turns.tokenizer, most_tokens=12, temperature=temperature)
        turns.model.generation_config.repetition_penalty = 1.0
        plain = sampler.write(asked)
        turns.model.generation_config.repetition_penalty = 3.0
        turns.model.generation_config.suppress_tokens = list(range(40, 200))
        turns.model.generation_config.min_new_tokens = 12
        assert sampler.write(asked) == plain


def test_settings_of_a_tokenizer_are_part_of_what_decides_a_prompt(tmp_path: Path) -> None:
    chatty().inner.save_pretrained(str(tmp_path))
    spec = StudentSpec(scratch=Scratch(), tokenizer=tmp_path)
    before = template_identity(spec)
    named = tmp_path / "additional_chat_templates" / "short.jinja"
    named.parent.mkdir()
    named.write_text(CHATML, encoding="utf-8")
    assert template_identity(spec) != before
    before = template_identity(spec)
    (tmp_path / "special_tokens_map.json").write_text('{"eos_token": "<|im_end|>"}', encoding="utf-8")
    assert template_identity(spec) != before
