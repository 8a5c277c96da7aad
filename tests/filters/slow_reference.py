"""The measurements again, slowly, in plain Python over strings: written from the definitions, not from the code."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

from filters import code_points
from filters.curator_ratios import POLICIES, URL

BULLETS = "•‣⁃⁌⁍∙○●◘◦⦾⦿"
MARKS = ("...", "[...]", "…", "(...)", "[…]", "-»", "read more..", "read more")
SENTENCE_ENDS = frozenset(chr(int(code, 16)) for code in code_points.SENTENCE_ENDS.split())


def is_symbol(char: str) -> bool:
    return unicodedata.category(char)[0] in "PSC"


def share(part: float, whole: float) -> float:
    return part / max(whole, 1)


def curator_quality(text: str, stop_words: Sequence[str]) -> dict[str, float]:
    words, lines = text.split(), [line for line in text.split("\n") if line.strip()]
    signs = sum(word in MARKS or len(re.findall("#+", word)) / len(word) > 0.5 for word in words)
    return {
        "words": len(words),
        "mean_word_chars": share(sum(map(len, words)), len(words)),
        "sign_words": share(signs, len(words)),
        "bullet_lines": share(sum(line.strip()[0] in BULLETS for line in lines), len(lines)),
        "ellipsis_lines": share(sum(ascii_lower(line.strip()).endswith(MARKS) for line in lines), len(lines)),
        "letter_words": share(sum(any(c.isalpha() for c in w) for w in words), len(words)),
        "stop_words": sum(word in stop_words for word in words),
    }


def ascii_lower(text: str) -> str:
    return "".join(char.lower() if char.isascii() else char for char in text)


def datatrove_quality(text: str, stop_words: Sequence[str], words: Sequence[str] | None = None) -> dict[str, float]:
    words = text.split() if words is None else words
    real = [word for word in words if not all(is_symbol(char) for char in word)]
    lines = text.splitlines()
    return {
        "words": len(real),
        "mean_word_chars": share(sum(map(len, real)), len(real)),
        "hashes": share(text.count("#"), len(words)),
        "ellipses": share(text.count("...") + text.count("…"), len(words)),
        "bullet_lines": share(sum(line.lstrip().startswith(("•", "-")) for line in lines), len(lines)),
        "ellipsis_lines": share(sum(line.rstrip().endswith(("...", "…")) for line in lines), len(lines)),
        "letter_words": share(sum(any(c.isalpha() for c in w) for w in words), len(words)),
        "stop_words": len(set(stop_words) & set(words)),
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


def top_gram(words: Sequence[str], n: int) -> tuple[str, int]:
    """The most frequent n-gram, the earliest of several, and how often; nothing where none comes twice."""
    grams = Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
    if not grams:
        return "", 0
    gram, count = grams.most_common(1)[0]
    return (" ".join(gram), count) if count > 1 else ("", 0)


def stepped_over(words: Sequence[str], n: int) -> int:
    """Characters of duplicate n-grams as datatrove counts them."""
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


def overlapping(words: Sequence[str], n: int) -> int:
    """Characters of duplicate n-grams as NeMo Curator counts them."""
    seen: set[tuple[str, ...]] = set()
    chars = old = 0
    for at in range(len(words) - n + 1):
        gram = tuple(words[at : at + n])
        if gram in seen:
            chars += sum(map(len, gram[old:])) + min(n - old, n - 1)
            old = n
        seen.add(gram)
        old = max(old - 1, 0)
    return chars


def curator_repetition(text: str) -> dict[str, float]:
    words, size = text.split(), len(text)
    lines, paragraphs = [line for line in text.split("\n") if line.strip()], text.split("\n\n")
    (line_count, line_chars), (part_count, part_chars) = duplicates(lines), duplicates(paragraphs)
    tops = {n: top_gram(words, n)[0] for n in (2, 3, 4)}
    return {
        "duplicate_lines": share(line_count, len(lines)),
        "duplicate_paragraphs": share(part_count, len(paragraphs)),
        "duplicate_line_chars": share(line_chars, len("".join(lines))),
        "duplicate_paragraph_chars": share(part_chars, len("".join(paragraphs))),
        **{
            f"top_{n}_gram_chars": share(size - len(text.replace(gram, "") if gram else text), size)
            for n, gram in tops.items()
        },
        **{f"duplicate_{n}_gram_chars": share(overlapping(words, n), size) for n in range(5, 11)},
    }


def datatrove_repetition(text: str, words: Sequence[str] | None = None) -> dict[str, float]:
    words, size = text.split() if words is None else words, len(text)
    lines, paragraphs = re.split("\n+", text) if text else [], re.split(r"\n{2,}", text.strip())
    (line_count, line_chars), (part_count, part_chars) = duplicates(lines), duplicates(paragraphs)
    tops = {n: top_gram(words, n) for n in (2, 3, 4)}
    return {
        "duplicate_lines": share(line_count, len(lines)),
        "duplicate_paragraphs": share(part_count, len(paragraphs)),
        "duplicate_line_chars": share(line_chars, size),
        "duplicate_paragraph_chars": share(part_chars, size),
        **{f"top_{n}_gram_chars": share(len(gram) * count, size) for n, (gram, count) in tops.items()},
        **{f"duplicate_{n}_gram_chars": share(stepped_over(words, n), size) for n in range(5, 11)},
    }


def fineweb(text: str, words: Sequence[str] | None = None) -> dict[str, float]:
    words, lines = text.split() if words is None else words, [line for line in text.split("\n") if line.strip()]
    return {
        "lines": len(lines),
        "stopped_lines": share(sum(line[-1] in SENTENCE_ENDS for line in lines), len(lines)),
        "short_lines": share(sum(len(line) <= 30 for line in lines), len(lines)),
        "duplicate_chars": share(duplicates(lines)[1], len(text.replace("\n", ""))),
        "newlines_per_word": share(text.count("\n"), len(words)),
    }


def curator_ratios(text: str) -> dict[str, float]:
    lines, paragraphs, size = [line for line in text.split("\n") if line.strip()], text.split("\n\n"), len(text)
    policies = [any(phrase in ascii_lower(part) for phrase in POLICIES) for part in paragraphs]
    lorem = any("lorem ipsum" in ascii_lower(part) for part in paragraphs)
    return {
        "not_plain": share(size - len(re.findall("[a-zA-Z0-9\n?!,.]", text)), size),
        "digits": share(sum(unicodedata.category(char) == "Nd" for char in text), size),
        "url_chars": share(sum(map(len, re.findall(URL, text))), size),
        "white_space": share(sum(char in "\t\n\r\b " for char in text), size),
        "brackets": share(sum(char in "{}⟨⟩[]()" for char in text), size),
        "policy_paragraphs": 1.0 if lorem else sum(policies) / len(policies),
        "unended_lines": share(sum(not line.strip().endswith((".", "?", "!", '"', "'")) for line in lines), len(lines)),
        "longest_word": max(map(len, text.split()), default=0),
    }


def compared_words(text: str, boilerplate: Sequence[str]) -> list[str]:
    for pattern in boilerplate:
        text = re.sub(pattern, " ", text)
    text = unicodedata.normalize("NFC", text).lower()
    return "".join(compared_char(char) for char in text).split()


def compared_char(char: str) -> str:
    if unicodedata.category(char)[0] not in "LMN":
        return " "
    code = ord(char)
    alone = any(first <= code <= last for first, last in code_points.UNSPACED_SCRIPTS)
    return f" {char} " if alone else char


def shingle_set(words: Sequence[str], n: int) -> set[tuple[str, ...]]:
    if not words:
        return set()
    return {tuple(words[i : i + n]) for i in range(max(len(words) - n + 1, 1))}


def jaccard(one: set[tuple[str, ...]], other: set[tuple[str, ...]]) -> float:
    return len(one & other) / len(one | other) if one and other else 0.0
