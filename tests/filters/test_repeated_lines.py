from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.repeated_lines import RepeatedLines
from mashbill.errors import BillError
from mashbill.records import Document, to_table
from tests.filters.support import MemoryParts, doc, flat, run, scored
from tests.filters.test_exact_dedup import split

MENU = "Home | About | Contact us today"


def pages(count: int) -> list[Document]:
    return [doc(f"{MENU}\nThe guild sold salt in year {number}.", title=str(number)) for number in range(count)]


def test_a_line_of_many_documents_goes_but_from_the_best() -> None:
    rows = [scored(row, q=float(number)) for number, row in enumerate(pages(4))]
    kept, rejects = run(RepeatedLines(score="q"), [rows[:2], rows[2:]])
    assert rejects == []
    assert [row.text for row in flat(kept)][:3] == [f"The guild sold salt in year {number}." for number in range(3)]
    assert flat(kept)[3] == rows[3]
    assert [row.parents for row in flat(kept)[:3]] == [(row.id,) for row in rows[:3]]
    nowhere, _ = run(RepeatedLines(keep_first=False), [rows])
    assert not any(MENU in row.text for row in flat(nowhere))


def test_what_too_few_documents_have_or_is_short_stays() -> None:
    twice = [doc(f"{MENU}\n{MENU}\n}}\nOne {number}.") for number in range(2)]
    assert run(RepeatedLines(), [twice]) == ([twice], [])
    braces = [doc(f"}}\nThe guild of number {number}.") for number in range(5)]
    assert run(RepeatedLines(), [braces])[0] == [braces]
    assert len(run(RepeatedLines(documents=2), [twice])[0][0]) == 2
    assert Counter(MENU in row.text for row in flat(run(RepeatedLines(documents=2), [twice])[0])) == {True: 1, False: 1}


def test_case_and_space_do_not_make_two_lines_and_a_document_of_nothing_else_goes() -> None:
    rows = [*pages(2), doc(f"  {MENU.upper().replace(' | ', '  |  ')} ")]
    kept, rejects = run(RepeatedLines(keep_first=False), [rows])
    assert [(row["reason"], row["id"]) for row in rejects] == [("nothing_left", rows[2].id)]
    assert len(flat(kept)) == 2


def test_paragraphs_are_between_blank_lines() -> None:
    rows = [doc(f"A notice\nof two lines to all.\n\nYear {number} was good.") for number in range(3)]
    kept, _ = run(RepeatedLines(unit="paragraph", keep_first=False), [rows])
    assert [row.text for row in flat(kept)] == [f"Year {number} was good." for number in range(3)]
    assert run(RepeatedLines(unit="paragraph", documents=4), [rows])[0] == [rows]


def test_what_was_taken_out_is_counted_by_its_words() -> None:
    parts = MemoryParts([to_table(pages(3), Document), to_table(pages(3)[:1], Document)])
    first, second = RepeatedLines(keep_first=False).run(parts)
    assert first.noted == {
        "rows_changed": 3,
        "lines_removed": 3,
        "chars_removed": 3 * len(MENU),
        f"removed: {MENU}": 3,
    }
    # The last page's own line is in two documents alone, its menu in four.
    assert second.noted["lines_removed"] == 1


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(BillError, match="repeated from 2"):
        RepeatedLines(documents=1)
    with pytest.raises(BillError, match="memory_mb 0"):
        RepeatedLines(memory_mb=0)


def test_no_parts() -> None:
    assert run(RepeatedLines(), []) == ([], [])
    assert run(RepeatedLines(), [[], []]) == ([[], []], [])


lines = st.sampled_from([f"line number {number} of the salt guild" for number in range(6)] + ["", "short"])
documents = st.lists(st.lists(lines, max_size=5).map("\n".join), max_size=10)


@settings(max_examples=25, deadline=None)
@given(documents, st.booleans(), st.randoms(use_true_random=False))
def test_order_and_parts_and_memory_do_not_matter(texts: list[str], keep: bool, draw: random.Random) -> None:
    rows = [doc(text, title=str(number)) for number, text in enumerate(texts)]
    step = RepeatedLines(keep_first=keep)
    kept, rejects = run(step, split(rows, draw))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("filters.repeated_lines.MEGABYTE", 1)
        again, others = run(step, split(rows, draw))
    by_title = sorted((row.title, row.text) for row in flat(kept))
    assert by_title == sorted((row.title, row.text) for row in flat(again))
    assert sorted(str(row["id"]) for row in rejects) == sorted(str(row["id"]) for row in others)
    # Slowly, by the definition: of each long line of three documents or more, one document has it left, or none.
    having = Counter(line for text in texts for line in set(text.split("\n")) if len(line) >= 20)
    left = Counter(line for _, text in by_title for line in set(text.split("\n")))
    for line, count in having.items():
        assert left[line] == (count if count < 3 else int(keep))
