"""A teacher's signal from its logits to the loss of a packed row."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedModel

from mashbill.errors import BillError, StoreError, UserError
from tests.train.taught_plans import CPU, distill, scorer, taught_columns, teacher_at
from train.batches import IGNORED, PlanReader
from train.encode_signal import drawn_entries, top_entries, uniforms
from train.plan import PlanSpec, build_plan
from train.render import token_tables
from train.score_texts import windows
from train.student import load_model
from train.teacher_reader import TeacherReader, swapped
from train.teacher_store import TeacherManifest
from train.teacher_table import tokens_hash
from train.tokenizer import StudentTokenizer


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return teacher_at(tmp_path_factory.mktemp("teacher"))


@functools.cache
def opened(teacher: Path) -> PreTrainedModel:
    return load_model(teacher).eval()


def distribution(teacher: Path, tokens: list[int], temperature: float = 1.0) -> torch.Tensor:
    """What the teacher says after each token of a text that it reads alone."""
    with torch.no_grad():
        logits: torch.Tensor = opened(teacher)(input_ids=torch.tensor([tokens])).logits[0, :, :258]
    return (logits / temperature).softmax(1)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_a_packed_row_has_beside_each_label_what_the_teacher_says_there(
    teacher: Path, plan_dir: Path, tokenizer: StudentTokenizer, tmp_path: Path, temperature: float
) -> None:
    """Read back from Parquet, through the packing, against the teacher run on each text alone."""
    spec = distill(teacher, k=5, temperature=temperature)
    folders, _ = taught_columns(tmp_path, plan_dir, spec, tokenizer)
    reader = PlanReader(plan_dir)
    reader.teacher = TeacherReader(folders, reader.store, spec, tokenizer=tokenizer.identity)
    checked = 0
    for row in range(0, reader.manifest.rows, 9):
        batch = reader.batch([row])
        assert batch.teacher is not None
        at = 0
        for segment in range(reader._offsets[row], reader._offsets[row + 1]):
            number, start, length = (int(one[segment]) for one in (reader._record, reader._start, reader._length))
            exact = distribution(teacher, reader.store.tokens(number).tolist(), temperature)
            for place in range(start, start + length - 1):
                shares, ids = exact[place].topk(5)
                assert batch.teacher.ids[at].tolist() == ids.tolist()
                torch.testing.assert_close(batch.teacher.shares[at], shares, rtol=4e-3, atol=1e-5)
                assert float(batch.teacher.tail[at]) == pytest.approx(1 - float(shares.sum()), abs=2e-3)  # type: ignore[index]
                at += 1
                checked += 1
        assert at == len(batch.teacher.ids) == int((batch.labels[:, 1:] != IGNORED).sum())
        whole = batch.teacher.shares.sum(1) + batch.teacher.tail  # type: ignore[operator]
        torch.testing.assert_close(whole, torch.ones(at))
    assert checked > 300


def test_drawn_counts_reach_their_labels_too(
    teacher: Path, plan_dir: Path, tokenizer: StudentTokenizer, tmp_path: Path
) -> None:
    spec = distill(teacher, encoding="sampled", draws=200)
    folders, manifests = taught_columns(tmp_path, plan_dir, spec, tokenizer)
    reader = PlanReader(plan_dir)
    reader.teacher = TeacherReader(folders, reader.store, spec, tokenizer=tokenizer.identity)
    row = next(row for row in range(24) if reader._start[reader._offsets[row]] > 0)  # begins within a text
    batch = reader.batch([row])
    assert batch.teacher is not None
    assert batch.teacher.tail is None
    segment = reader._offsets[row]
    number, start, length = (int(one[segment]) for one in (reader._record, reader._start, reader._length))
    exact = distribution(teacher, reader.store.tokens(number).tolist())[start : start + length - 1]
    found = torch.zeros_like(exact).scatter_add_(1, batch.teacher.ids[: length - 1], batch.teacher.shares[: length - 1])
    torch.testing.assert_close(found.sum(1), torch.ones(length - 1))
    # One draw in each 200th part: no entry is off by two draws.
    assert float((found - exact).abs().max()) < 2 / 200
    assert all(one.bytes_per_token > 0 for one in manifests.values())


@given(st.integers(0, 10**6), st.integers(1, 255))
@settings(max_examples=30, deadline=None)
def test_draws_are_complete_and_off_by_less_than_one(seed: int, draws: int) -> None:
    log_probs = torch.randn(6, 40, generator=torch.Generator().manual_seed(seed)).mul(3).log_softmax(1)
    found = drawn_entries(log_probs, uniforms(b"key", 0, 6, draws))
    assert found["sizes"].sum() == len(found["ids"]) == len(found["counts"])
    at = 0
    for line, size in enumerate(found["sizes"].astype(int)):
        ids, counts = found["ids"][at : at + size], found["counts"][at : at + size].astype(int)
        at += size
        assert counts.sum() == draws
        assert len(set(ids.tolist())) == size
        expected = draws * log_probs[line].exp()[ids.astype(int)].numpy()
        # A bin covers whole parts and two broken ones.
        assert np.abs(counts - expected).max() < 2


def test_draws_are_unbiased() -> None:
    p = np.array([0.5, 0.3, 0.15, 0.045, 0.005])
    times = 40_000
    log_probs = torch.from_numpy(p).log().expand(times, -1)
    found = drawn_entries(log_probs, uniforms(b"some text", 0, times, 7))
    means = np.bincount(found["ids"].astype(int), weights=found["counts"].astype(float), minlength=5) / (7 * times)
    # A bin gets whole parts and at most two broken ones, each a coin: a standard error below 0.71 / 7 / 200 = 0.0005.
    np.testing.assert_allclose(means, p, atol=0.002)
    # And one tenth of that where the bin is rare: 0.035 of a part has 0.18 / 7 / 200 = 0.00013.
    assert means[4] == pytest.approx(0.005, abs=0.0005)


def test_draws_of_a_position_do_not_depend_on_where_reading_began() -> None:
    whole = uniforms(b"text", 0, 9, 50)
    np.testing.assert_array_equal(whole[4:7], uniforms(b"text", 4, 3, 50))
    assert not np.array_equal(whole, uniforms(b"other", 0, 9, 50))


def test_a_sure_teacher_keeps_a_tail_that_can_be_learned() -> None:
    log_probs = torch.tensor([[30.0, 0.0, -1.0, -200_000.0]]).log_softmax(1)
    found = top_entries(log_probs, 2)
    assert np.isfinite(found["log_tail"]).all()
    assert found["log_tail"][0] == pytest.approx(-31, abs=0.05)
    assert np.isfinite(top_entries(log_probs, 4)["log_probs"]).all()


def test_a_text_longer_than_the_context_is_read_in_windows(tokenizer: StudentTokenizer, tmp_path: Path) -> None:
    short = teacher_at(tmp_path / "short", context=16)
    tokens = np.array(tokenizer.documents(["salt and rye and copper, oak and barley " * 2])[0], np.int32)
    scores = scorer(distill(short, k=3), tokenizer.identity)
    (signal,) = scores.signals([tokens], ["long"])
    assert scores.long == 1
    assert signal.positions == len(tokens) - 1
    ids = signal.columns["ids"].reshape(-1, 3)
    for start, stop, first in windows(len(tokens) - 1, 16):
        exact = distribution(short, tokens[start:stop].tolist())
        for place in range(first, stop):
            assert ids[place].tolist() == exact[place - start].topk(3).indices.tolist()


@given(st.integers(1, 300), st.integers(2, 40))
def test_windows_cover_each_position_once_with_half_a_context_before_it(length: int, context: int) -> None:
    found = windows(length, context)
    used = [place for start, stop, first in found for place in range(first, stop)]
    assert used == list(range(length))
    assert all(stop - start <= context and start <= first for start, stop, first in found)
    assert all(first - start >= context // 2 for start, _, first in found[1:])
    assert all(one[0] < two[0] for one, two in itertools.pairwise(found))


def test_entries_beyond_the_tokenizer_get_no_probability(
    plan_dir: Path, tokenizer: StudentTokenizer, tmp_path: Path
) -> None:
    padded = teacher_at(tmp_path / "padded", padded=30)
    with torch.no_grad():
        logits = load_model(padded).eval()(input_ids=torch.tensor([[41, 74]])).logits[0, -1]
    assert int(logits.argmax()) >= 258  # it would win, were it a token
    spec = distill(padded, k=258)
    folders, _ = taught_columns(tmp_path, plan_dir, spec, tokenizer)
    for folder in folders.values():
        table = pq.read_table(folder / "part-00000.parquet")
        assert pa.compute.max(pa.compute.list_flatten(table.column("ids"))).as_py() == 257
        shares = np.exp(np.array(table.column("log_probs")[0].as_py(), np.float64)).reshape(-1, 258)
        np.testing.assert_allclose(shares.sum(1), 1, atol=3e-3)


def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(
    teacher: Path, plan_dir: Path, tokenizer: StudentTokenizer, tmp_path: Path
) -> None:
    spec = distill(teacher, encoding="sampled")
    folders, whole = taught_columns(tmp_path / "one", plan_dir, spec, tokenizer, part_tokens=800)
    assert len(whole["made"].parts) > 2
    seen: list[int] = []

    def kill(done: int) -> None:
        seen.append(done)
        if len(seen) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        taught_columns(tmp_path / "two", plan_dir, spec, tokenizer, part_tokens=800, progress=kill)
    again, resumed = taught_columns(tmp_path / "two", plan_dir, spec, tokenizer, part_tokens=800)
    assert resumed == whole
    for stream, folder in folders.items():
        for part in folder.glob("*.parquet"):
            assert part.read_bytes() == (again[stream] / part.name).read_bytes()
    # A finished folder loads no teacher.
    taught_columns(tmp_path / "two", plan_dir, distill(teacher, encoding="sampled"), tokenizer)


def test_text_without_columns_is_refused(
    teacher: Path,
    plan_dir: Path,
    tokenizer: StudentTokenizer,
    make_documents: Callable[..., pa.Table],
    tmp_path: Path,
) -> None:
    spec = distill(teacher, k=2)
    folders, _ = taught_columns(tmp_path, plan_dir, spec, tokenizer)
    other = tmp_path / "other"
    streams = {
        "made": token_tables([make_documents("made", 20), make_documents("more", 10, seed=1)], tokenizer),
        "web": token_tables([make_documents("web", 30)], tokenizer),
    }
    build_plan(
        streams, spec=PlanSpec(tokens=4096, sequence_length=64, batch=4), out=other, tokenizer=tokenizer.identity
    )
    with pytest.raises(StoreError, match="10 of 60 texts have no teacher columns, more-0 among them"):
        TeacherReader(folders, PlanReader(other).store, spec, tokenizer=tokenizer.identity)


def test_columns_of_another_tokenizer_or_encoding_are_refused(
    teacher: Path, plan_dir: Path, tokenizer: StudentTokenizer, tmp_path: Path
) -> None:
    spec = distill(teacher, k=2)
    folders, _ = taught_columns(tmp_path, plan_dir, spec, tokenizer)
    store = PlanReader(plan_dir).store
    with pytest.raises(StoreError, match=r"tokens of tokenizer .* and the plan's is feedface"):
        TeacherReader(folders, store, spec, tokenizer="feedface" * 8)
    with pytest.raises(StoreError, match="have k 2 and 3 is wanted"):
        TeacherReader(folders, store, distill(teacher, k=3), tokenizer=tokenizer.identity)
    with pytest.raises(StoreError, match="not finished; run `mashbill teach`"):
        TeacherManifest.read(tmp_path / "nothing")
    part = folders["made"] / "part-00000.parquet"
    part.write_bytes(part.read_bytes()[:-40])
    with pytest.raises(StoreError, match="gone or changed since it was written"):
        TeacherReader(folders, store, spec, tokenizer=tokenizer.identity)


def test_a_teacher_of_another_tokenizer_is_refused(teacher: Path) -> None:
    with pytest.raises(BillError, match="their probabilities are about different tokens"):
        scorer(distill(teacher), "feedface" * 8)


def test_a_teacher_that_gives_no_number_is_refused(tokenizer: StudentTokenizer, tmp_path: Path) -> None:
    scores = scorer(distill(teacher_at(tmp_path)), tokenizer.identity)
    tokens = np.arange(2, 40, dtype=np.int32)
    with torch.no_grad():
        scores.teacher.model.get_input_embeddings().weight[30] = torch.nan
    with pytest.raises(UserError, match="gives no number for record r7, near token"):
        scores.signals([tokens], ["r7"])


def test_the_swap_ranks_the_true_token_first_and_keeps_the_rest() -> None:
    ids = np.array([[7, 3, 5], [7, 3, 5], [7, 3, 5]])
    made = swapped(ids, np.array([5, 7, 9], np.int32))
    assert made[:, 0].tolist() == [5, 7, 9]
    assert made.tolist() == [[5, 3, 7], [7, 3, 5], [9, 3, 5]]
    assert ids[0, 0] == 7  # not in place


def test_swapped_columns_have_the_label_first_with_the_teachers_largest_share(
    teacher: Path, plan_dir: Path, tokenizer: StudentTokenizer, tmp_path: Path
) -> None:
    plain, swap = distill(teacher, k=4), distill(teacher, k=4, swap=True)
    folders, _ = taught_columns(tmp_path, plan_dir, plain, tokenizer)
    batches = []
    for spec in (plain, swap):
        reader = PlanReader(plan_dir)
        reader.teacher = TeacherReader(folders, reader.store, spec, tokenizer=tokenizer.identity)
        batches.append(reader.batch([0, 5, 9]))
    before, after = (batch.teacher for batch in batches)
    assert before is not None
    assert after is not None
    labels = batches[0].labels[:, 1:]
    assert torch.equal(after.ids[:, 0], labels[labels != IGNORED])
    torch.testing.assert_close(before.shares, after.shares)
    right = before.ids[:, 0] == after.ids[:, 0]
    assert torch.equal(before.ids[right], after.ids[right])
    assert 0 < int(right.sum()) < len(right)


def test_equal_tokens_have_equal_keys() -> None:
    one = np.array([1, 2, 3], np.int32)
    assert tokens_hash(one) == tokens_hash(np.array([0, 1, 2, 3], np.int32)[1:])
    assert tokens_hash(one) != tokens_hash(one[::-1].copy())
    assert CPU.type == "cpu"
