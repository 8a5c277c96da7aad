"""Real passages of about 300 words, from the text that this machine has: package documentation and long descriptions.

Texts are cut at the ends of lines, each to its own; no text gives more than `FROM_ONE` passages, so that a few manuals
do not make the sample. The same files give the same passages in the same order.
"""

from __future__ import annotations

import gzip
import hashlib
import re
import site
from collections.abc import Iterator
from html import unescape
from pathlib import Path

WORDS = 300
FROM_ONE = 60
MOST_BYTES = 2_000_000


def passages(count: int, folders: tuple[Path, ...] = ()) -> list[str]:
    """As many passages as there are, at most `count`, no two alike."""
    found: dict[str, str] = {}
    for path in sorted(_files(folders or _places())):
        for text in _cut(_read(path)):
            # By digest, so that a sample of any size has passages of all files.
            found.setdefault(hashlib.blake2b(text.encode(), digest_size=16).hexdigest(), text)
    return [found[key] for key in sorted(found)[:count]]


def _places() -> tuple[Path, ...]:
    return (Path("/usr/share/doc"), *(Path(folder) for folder in site.getsitepackages()))


def _files(folders: tuple[Path, ...]) -> Iterator[Path]:
    for folder in folders:
        for path in folder.rglob("*"):
            kind = path.suffixes[-2] if path.suffix == ".gz" and len(path.suffixes) > 1 else path.suffix
            told = kind.lower() in (".txt", ".md", ".rst", ".html", ".htm") or path.name in ("copyright", "METADATA")
            plain = folder.name == "doc" and path.name.split(".")[0] in ("README", "NEWS", "changelog", "FAQ", "TODO")
            if (told or plain) and path.is_file() and not path.is_symlink():
                yield path


def _read(path: Path) -> str:
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        text = file.read(MOST_BYTES).decode("utf-8", "replace").replace("\x00", "")
    if ".htm" in path.name:
        text = re.sub(r"(?is)<(script|style)\b.*?</\1>", " ", text)
        text = re.sub(r"(?i)</?(?:p|div|li|tr|h\d|br|pre)\b[^>]*>", "\n", text)
        text = re.sub(r"\n\s*\n+", "\n\n", unescape(re.sub(r"(?s)<[^>]*>", "", text)))
    return text


def _cut(text: str) -> Iterator[str]:
    lines, words, given = list[str](), 0, 0
    for line in text.split("\n"):
        lines.append(line)
        words += len(line.split())
        if words >= WORDS:
            yield "\n".join(lines).strip("\n")
            lines, words, given = [], 0, given + 1
            if given == FROM_ONE:
                return
    if words >= WORDS // 3:
        yield "\n".join(lines).strip("\n")
