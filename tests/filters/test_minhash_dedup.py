from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters import near_duplicates as near
from filters.minhash_dedup import MinhashDedup
from filters.minhash_signature import band_keys, bands_for, found_probability, signatures
from filters.shingles import jaccard, shingles
from mashbill.errors import BillError
from mashbill.records import Document
from mashbill.step import snake_case
from tests.filters import slow_reference as slow
from tests.filters.support import doc, flat, run, scored
from tests.filters.test_exact_dedup import split
from tests.filters.texts import random_text


def near_copy(words: list[str], changes: int, draw: random.Random) -> list[str]:
    """A copy with some of its words replaced, spread so that each spoils five shingles of its own."""
    copy = list(words)
    for at in draw.sample(range(4, len(words) - 5, 6), changes):
        copy[at] = f"new{draw.randrange(10**9)}"
    return copy


def exact(one: Document, two: Document, n: int = 5) -> float:
    return slow.jaccard(*(slow.shingle_set(slow.compared_words(text, ()), n) for text in (one.text, two.text)))


def test_a_near_copy_goes_and_says_why() -> None:
    draw = random.Random(1)
    words = random_text(draw, 200)
    one, two = doc(" ".join(words)), doc(" ".join(near_copy(words, 3, draw)))
    kept, rejects = run(MinhashDedup(), [[one], [two]])
    first, second = sorted((one, two), key=lambda row: row.id)
    assert flat(kept) == [first]
    (row,) = rejects
    assert (row["id"], row["reason"], row["step"]) == (second.id, "near_duplicate", "minhash_dedup")
    assert (row["kept_id"], row["value"]) == (first.id, exact(one, two))
    assert row["detail"] == f"similarity {exact(one, two):.3f} over 5-word shingles, limit 0.75"
    assert snake_case("MinhashDedup") == MinhashDedup.name


def test_texts_of_one_source_may_be_more_alike() -> None:
    draw = random.Random(2)
    words = random_text(draw, 200)
    one, two = " ".join(words), " ".join(near_copy(words, 4, draw))
    assert 0.75 < exact(doc(one), doc(two)) < 0.9
    assert len(run(MinhashDedup(), [[doc(one, source="a"), doc(two, source="b")]])[1]) == 1
    assert run(MinhashDedup(), [[doc(one, source="a"), doc(two, source="a")]])[1] == []
    strict = MinhashDedup(within_source_threshold=0.75)
    (row,) = run(strict, [[doc(one, source="a"), doc(two, source="a")]])[1]
    assert str(row["detail"]).endswith("limit 0.75 within one source")


def test_a_chain_of_unlike_ends_keeps_both_ends() -> None:
    draw = random.Random(3)
    middle = random_text(draw, 300)
    left, right = near_copy(middle, 8, draw), near_copy(middle, 8, draw)
    ends = [scored(doc(" ".join(left)), q=3.0), scored(doc(" ".join(right)), q=2.0)]
    between = scored(doc(" ".join(middle)), q=1.0)
    assert exact(ends[0], ends[1]) < 0.75 < min(exact(between, end) for end in ends)
    kept, rejects = run(MinhashDedup(score="q"), [[between], ends])
    assert kept == [[], ends]
    assert len(rejects) == 1
    best_first, rejects = run(MinhashDedup(score="q"), [[scored(between, q=9.0), *ends]])
    assert [row.id for row in best_first[0]] == [between.id]
    assert {row["kept_id"] for row in rejects} == {between.id}


def test_boilerplate_alone_makes_no_duplicates() -> None:
    heading = "## " + " ".join(f"heading{number}" for number in range(60)) + "\n"
    one, two = (
        doc(heading + "the salt guild of Veylund held nineteen pans"),
        doc(heading + "the river silted up in 1702"),
    )
    assert run(MinhashDedup(), [[one, two]])[1] == []
    assert len(run(MinhashDedup(boilerplate=()), [[one, two]])[1]) == 1


def test_short_and_empty_texts() -> None:
    rows = [doc("Salt guild!"), doc("salt  GUILD"), doc("salt"), doc("..."), doc(""), doc("—")]
    kept, rejects = run(MinhashDedup(), [rows])
    assert len(rejects) == 1
    assert rejects[0]["value"] == 1.0
    assert {row.text for row in kept[0]} >= {"salt", "...", "", "—"}


def test_no_parts() -> None:
    assert run(MinhashDedup(), []) == ([], [])
    assert run(MinhashDedup(), [[], []]) == ([[], []], [])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"threshold": 0.0}, "threshold 0.0"),
        ({"within_source_threshold": 1.5}, "within_source_threshold 1.5"),
        ({"shingle_words": 0}, "at least 1"),
        ({"num_perm": 1}, "cannot find pairs"),
    ],
)
def test_settings_under_which_nothing_could_be_found_are_refused(fields: dict[str, float], message: str) -> None:
    with pytest.raises(BillError, match=message):
        dataclasses.replace(MinhashDedup(), **fields)  # type: ignore[arg-type]


def families(seed: int) -> list[Document]:
    """Documents with near copies of all degrees, some of one source, some scored."""
    draw = random.Random(seed)
    documents = []
    for family in range(draw.randrange(1, 5)):
        words = random_text(draw, draw.choice([3, 30, 60, 120]))
        for _ in range(draw.randrange(1, 6)):
            most = len(range(4, len(words) - 5, 6))
            copy = near_copy(words, draw.randrange(min(most, 6) + 1), draw)
            document = doc(" ".join(copy), source=draw.choice(["", f"s{family}"]))
            documents.append(scored(document, q=draw.choice([1.0, 2.0])) if draw.random() < 0.7 else document)
    return documents


@pytest.fixture(autouse=True, scope="module")
def tiny_megabytes() -> Iterator[None]:
    """A megabyte of 50 bytes, so that a few rows go to disk in several batches."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(near, "MEGABYTE", 50)
        yield


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.randoms(use_true_random=False))
def test_order_and_parts_do_not_matter_and_twice_is_once(seed: int, draw: random.Random) -> None:
    step, documents = MinhashDedup(score="q"), families(seed)
    kept, rejects = run(step, split(documents, draw))
    again, others = run(step, split(documents, draw))

    def rows_of(parts: list[list[Document]]) -> list[Document]:
        return sorted(flat(parts), key=lambda row: (row.id, row.source_id, row.scores))

    def by_id(rows: list[dict[str, object]]) -> list[tuple[str, str, str]]:
        return sorted((str(row["id"]), str(row["kept_id"]), str(row["value"])) for row in rows)

    on_disk, spilled = run(dataclasses.replace(step, memory_mb=1), split(documents, draw))
    assert (rows_of(on_disk), by_id(spilled)) == (rows_of(kept), by_id(rejects))
    assert rows_of(kept) == rows_of(again)
    assert by_id(rejects) == by_id(others)
    assert run(step, kept) == (kept, [])
    alive = {row.id: row for row in flat(kept)}
    read = {row.id: row for row in documents}
    for row in rejects:
        rival = alive[str(row["kept_id"])]
        assert str(row["cluster"]) in alive
        similarity = exact(read[str(row["id"])], rival)
        assert row["value"] == similarity
        assert similarity >= (0.9 if row["source_id"] == rival.source_id != "" else 0.75)


def test_pairs_are_found_as_often_as_the_curve_says() -> None:
    """400 planted pairs at each of several similarities: hits lie within four standard deviations of the S-curve."""
    draw, pairs = random.Random(4), 400
    bands, rows = bands_for(0.75)
    for changes in (3, 5, 7, 9, 12):
        some = []
        for _ in range(pairs):
            words = random_text(draw, 150, vocabulary=10**7)
            some += [" ".join(words), " ".join(near_copy(words, changes, draw))]
        chunks = list(shingles(pa.array(some, pa.large_string()), 5))
        keys = np.concatenate([band_keys(signatures(part), bands, rows) for part in chunks])
        sets = [one for part in chunks for one in part.sets()]
        similarities = [jaccard(sets[2 * pair], sets[2 * pair + 1]) for pair in range(pairs)]
        hits = int(np.any(keys[0::2] == keys[1::2], axis=1).sum())
        chances = [found_probability(similarity, bands, rows) for similarity in similarities]
        spread = sum(chance * (1 - chance) for chance in chances) ** 0.5
        assert abs(hits - sum(chances)) <= 4 * spread + 1, (changes, hits, sum(chances))


def test_recall_at_the_threshold_against_brute_force() -> None:
    draw = random.Random(5)
    documents = []
    for number in range(150):
        words = random_text(draw, 150)
        documents.append(scored(doc(" ".join(words), source=f"s{number}"), q=1.0))
        documents.append(doc(" ".join(near_copy(words, draw.randrange(2, 9), draw)), source=f"t{number}"))
    wanted = {
        documents[at + 1].id for at in range(0, len(documents), 2) if exact(documents[at], documents[at + 1]) >= 0.75
    }
    _, rejects = run(MinhashDedup(score="q"), [documents[:100], documents[100:]])
    found = {str(row["id"]) for row in rejects}
    assert found <= wanted
    assert len(found) >= 0.95 * len(wanted) > 50


def test_a_cluster_is_named_for_its_best_row() -> None:
    draw = random.Random(3)
    middle = random_text(draw, 300)
    left, right = near_copy(middle, 8, draw), near_copy(middle, 8, draw)
    ends = [scored(doc(" ".join(left)), q=3.0), scored(doc(" ".join(right)), q=2.0)]
    between = scored(doc(" ".join(middle)), q=1.0)
    other = [doc(" ".join(words)) for words in [random_text(draw, 50)] for _ in range(2)]
    rows = run(MinhashDedup(score="q"), [[between, *ends, other[0]], [dataclasses.replace(other[1], source="x")]])[1]
    # The row between is like both ends, so all three are one cluster, though two of them stay.
    assert {row["id"]: row["cluster"] for row in rows} == {between.id: ends[0].id, other[0].id: other[0].id}


def test_the_most_similar_kept_row_is_named_and_the_best_of_equals() -> None:
    draw = random.Random(7)
    words = random_text(draw, 120)
    far, close = near_copy(words, 2, draw), near_copy(words, 1, draw)
    texts = [" ".join(one) for one in (far, close, words)]
    rows = [scored(doc(text), q=float(-at)) for at, text in enumerate(texts)]
    strict = MinhashDedup(score="q", threshold=0.8)
    assert exact(rows[0], rows[1]) < 0.8 < exact(rows[0], rows[2]) < exact(rows[1], rows[2])
    (gone,) = run(strict, [rows])[1]
    assert (gone["id"], gone["kept_id"], gone["cluster"]) == (rows[2].id, rows[1].id, rows[0].id)
    # Two kept rows that are as like it: the better scored is named.
    left = [*words[:60], "one", *words[60:]]
    right = [*words[:60], "two", *words[60:]]
    twins = [doc(" ".join(words)), doc(" ".join(left)), doc(" ".join(right))]
    ranked = [scored(row, q=q) for row, q in zip(twins, (0.0, 1.0, 2.0), strict=True)]
    assert exact(twins[1], twins[2]) < exact(twins[0], twins[1]) == exact(twins[0], twins[2])
    (gone,) = run(MinhashDedup(score="q", threshold=exact(twins[0], twins[1])), [ranked])[1]
    assert (gone["id"], gone["kept_id"]) == (twins[0].id, twins[2].id)
