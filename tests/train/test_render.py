from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mashbill.errors import InputError, StoreError
from mashbill.records import Document, to_table
from train.batches import IGNORED, PlanReader
from train.plan import PlanSpec, build_plan
from train.render import TOKEN_SCHEMA, RenderSpec, render, token_tables
from train.tokenizer import StudentTokenizer, byte_tokenizer, load_tokenizer


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ({"domain": "Veylund", "title": "Salt", "text": "White."}, "Veylund\nSalt\n\nWhite."),
        ({"domain": "Veylund", "title": "", "text": "White."}, "Veylund\n\nWhite."),
        ({"domain": None, "title": " ", "text": "White."}, "White."),
    ],
)
def test_the_domain_comes_first(row: dict[str, str | None], text: str) -> None:
    assert render(row) == text


def test_what_is_not_wanted_is_left_out() -> None:
    row = {"domain": "Veylund", "title": "Salt", "text": "White."}
    assert render(row, RenderSpec(domain=False)) == "Salt\n\nWhite."
    assert render(row, RenderSpec(domain=False, title=False)) == "White."


def test_document_records_become_tokens(tokenizer: StudentTokenizer) -> None:
    source = Document.new(text="Salt is white.", domain="Veylund")
    made = source.child(Document, kind="relation", title="Salt", text="White as salt.")
    (table,) = token_tables([to_table([source, made], Document)], tokenizer)
    assert table.schema == TOKEN_SCHEMA
    assert table.column("record_id").to_pylist() == [source.id, made.id]
    assert table.column("source_id").to_pylist() == [source.id, source.id]
    tokens = table.column("tokens").to_pylist()
    assert [tokenizer.decode(row) for row in tokens] == ["Veylund\n\nSalt is white.", "Veylund\nSalt\n\nWhite as salt."]
    assert all(row[-1] == tokenizer.end and tokenizer.end not in row[:-1] for row in tokens)


def test_parts_do_not_matter(tokenizer: StudentTokenizer, make_documents: Callable[..., pa.Table]) -> None:
    whole = make_documents("d", 9)
    halves = [whole.slice(0, 4), whole.slice(4)]
    assert pa.concat_tables(token_tables(halves, tokenizer)).equals(pa.concat_tables(token_tables([whole], tokenizer)))


def test_a_part_without_text_is_refused(tokenizer: StudentTokenizer) -> None:
    with pytest.raises(StoreError, match=r"lacks \['text'\]"):
        list(token_tables([pa.table({"id": ["a"]})], tokenizer))


@given(st.text())
def test_bytes_lose_nothing(text: str) -> None:
    student = StudentTokenizer(byte_tokenizer())
    text = text.encode("utf-8", "ignore").decode()
    (ids,) = student.documents([text])
    assert student.decode(ids) == text


def test_a_separator_in_a_text_is_text(tokenizer: StudentTokenizer) -> None:
    (ids,) = tokenizer.documents(["a<|endoftext|>b"])
    assert ids.count(tokenizer.end) == 1


def test_the_identity_is_the_tokenizers_own(tmp_path: Path, tokenizer: StudentTokenizer) -> None:
    tokenizer.inner.save_pretrained(tmp_path)
    again = load_tokenizer(tmp_path)
    assert again.identity == tokenizer.identity
    again.inner.add_tokens(["zebra"])
    assert StudentTokenizer(again.inner).identity != tokenizer.identity


def test_a_tokenizer_must_end_documents(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no tokenizer can be read here"):
        load_tokenizer(tmp_path)
    nameless = byte_tokenizer()
    nameless.eos_token = None
    # The vocabulary still has <|endoftext|>, which is enough.
    assert StudentTokenizer(nameless).end == 0


def test_a_heading_that_is_not_learned_is_masked_wherever_the_text_is_cut(
    tokenizer: StudentTokenizer, tmp_path: Path
) -> None:
    table = pa.table(
        {"id": ["a", "b"], "source_id": ["a", "b"], "domain": ["D", ""], "title": ["T", ""], "text": ["x" * 20, "yy"]}
    )
    (plain,), (masked,) = (
        list(token_tables([table], tokenizer, RenderSpec(learn_heading=learned))) for learned in (True, False)
    )
    assert masked.column("tokens").to_pylist() == plain.column("tokens").to_pylist(), "bytes have one split"
    assert masked.column("prompt_length").to_pylist() == [len("D\nT\n\n"), 0]
    spec = PlanSpec(tokens=48, sequence_length=8, batch=2, seed=3)
    manifests = [
        build_plan({"s": [one]}, spec=spec, out=tmp_path / name, tokenizer=tokenizer.identity)
        for name, one in (("plain", plain), ("masked", masked))
    ]
    assert manifests[0].hash != manifests[1].hash, "another mask is another plan"
    reader, other = PlanReader(tmp_path / "masked"), PlanReader(tmp_path / "plain")
    for row in range(reader.manifest.rows):
        batch, whole = reader.batch([row]), other.batch([row])
        at = 0
        for segment in reader.segments_of(row):
            given = max(5 - segment.start, 1) if segment.record_id == "a" else 1
            labels = batch.labels[0, at : at + segment.length]
            assert labels[:given].eq(IGNORED).all()
            assert labels[given:].equal(whole.labels[0, at + given : at + segment.length])
            at += segment.length
    steps = range(reader.steps)
    assert [reader.valid_tokens(step) for step in steps] == [
        int((reader.batch(list(reader.rows_of(step))).labels != IGNORED).sum()) for step in steps
    ]
