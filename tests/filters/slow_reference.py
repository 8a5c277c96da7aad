"""The measurements again, slowly, in plain Python over strings: written from the definitions, not from the code."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

SPACE = "\t\n\x0b\x0c\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"


STRIP = "".join(chr(code) for code in range(0x3001) if re.match(f"[{SPACE}]", chr(code)))


def words_of(text: str) -> list[str]:
    return re.findall(f"[^{SPACE}]+", text)


def is_symbol(char: str) -> bool:
    return unicodedata.category(char)[0] in "PSC"


def quality(text: str, stop_words: Sequence[str]) -> dict[str, float]:
    words = words_of(text)
    real = [word for word in words if not all(is_symbol(char) for char in word)]
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    bullets = sum(line.lstrip(STRIP).startswith(("•", "-")) for line in lines)
    ends = sum(line.rstrip(STRIP).endswith(("...", "…")) for line in lines)
    return {
        "gopher_words": len(real),
        "gopher_mean_word_chars": sum(map(len, real)) / len(real) if real else 0.0,
        "gopher_hash_ratio": text.count("#") / len(words) if words else 0.0,
        "gopher_ellipsis_ratio": (text.count("...") + text.count("…")) / len(words) if words else 0.0,
        "gopher_bullet_lines": bullets / len(lines) if lines else 0.0,
        "gopher_ellipsis_lines": ends / len(lines) if lines else 0.0,
        "gopher_letter_words": sum(any(c.isalpha() for c in w) for w in words) / len(words) if words else 0.0,
        "gopher_stop_words": len(set(stop_words) & set(words)),
    }


def duplicates(elements: Sequence[str]) -> tuple[int, int]:
    seen: set[str] = set()
    count = chars = 0
    for element in elements:
        if element in seen:
            count += 1
            chars += len(element)
        seen.add(element)
    return count, chars


def top_chars(words: Sequence[str], n: int, *, once: bool = False) -> int:
    """`once`: count an n-gram that occurs once, as datatrove does."""
    grams = Counter(" ".join(words[i : i + n]) for i in range(len(words) - n + 1))
    if not grams:
        return 0
    gram, count = grams.most_common(1)[0]
    return len(gram) * count if once or count > 1 else 0


def duplicate_chars(words: Sequence[str], n: int) -> int:
    seen: set[tuple[str, ...]] = set()
    chars = at = 0
    while at + n <= len(words):
        gram = tuple(words[at : at + n])
        if gram in seen:
            chars += sum(map(len, gram))
            at += n
        else:
            seen.add(gram)
            at += 1
    return chars


def repetition(text: str) -> dict[str, float]:
    words, size = words_of(text), max(len(text), 1)
    lines = [line for line in text.split("\n") if line]
    paragraphs = [part for part in re.split(r"\n{2,}", text.strip(STRIP)) if part]
    (line_count, line_chars), (part_count, part_chars) = duplicates(lines), duplicates(paragraphs)
    return {
        "duplicate_lines": line_count / max(len(lines), 1),
        "duplicate_paragraphs": part_count / max(len(paragraphs), 1),
        "duplicate_line_chars": line_chars / size,
        "duplicate_paragraph_chars": part_chars / size,
        **{f"top_{n}_gram_chars": top_chars(words, n) / size for n in (2, 3, 4)},
        **{f"duplicate_{n}_gram_chars": duplicate_chars(words, n) / size for n in range(5, 11)},
    }


def datatrove_repetition(text: str) -> dict[str, float]:
    """The shares as datatrove 0.10's filter has them, with `words_of` as its word splitter, on a stripped text."""
    words = words_of(text)
    lines, line_chars = duplicates(re.split("\n+", text))
    parts, part_chars = duplicates(re.split(r"\n{2,}", text.strip()))
    return {
        "duplicate_lines": lines / len(re.split("\n+", text)),
        "duplicate_paragraphs": parts / len(re.split(r"\n{2,}", text.strip())),
        "duplicate_line_chars": line_chars / len(text),
        "duplicate_paragraph_chars": part_chars / len(text),
        **{f"top_{n}_gram_chars": top_chars(words, n, once=True) / len(text) for n in (2, 3, 4)},
        **{f"duplicate_{n}_gram_chars": duplicate_chars(words, n) / len(text) for n in range(5, 11)},
    }


def compared_words(text: str, boilerplate: Sequence[str]) -> list[str]:
    for pattern in boilerplate:
        text = re.sub(pattern, " ", text)
    text = unicodedata.normalize("NFC", text).lower()
    return "".join(char if unicodedata.category(char)[0] in "LMN" else " " for char in text).split()


def shingle_set(words: Sequence[str], n: int) -> set[tuple[str, ...]]:
    if not words:
        return set()
    return {tuple(words[i : i + n]) for i in range(max(len(words) - n + 1, 1))}


def jaccard(one: set[tuple[str, ...]], other: set[tuple[str, ...]]) -> float:
    return len(one & other) / len(one | other) if one and other else 0.0
