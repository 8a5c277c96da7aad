r"""Personal data and secrets by kind: what may be one, and what it must pass to be one.

``"Write to ora@salt.org or +44 20 7946 0018"`` -> ``email`` at 9 to 21 and ``phone`` at 25 to 41.

Patterns are written for precision: a wrong hit takes away or rewrites a good text. A candidate must stand alone (not in
a longer number, word or path) and pass the check of `filters.pii_checks`: a check digit where there is one, else a
country code, a public range, the entropy of a drawn string.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from filters import pii_checks as checks


@dataclass(frozen=True, slots=True)
class Span:
    """Something found in a text, from one character up to another."""

    kind: str
    start: int
    end: int


@dataclass(frozen=True)
class Kind:
    """One kind: where it may stand, and the check it must pass."""

    name: str
    hint: str
    """A regular expression of Rust that every text with one has: most texts are not looked at further."""
    patterns: tuple[tuple[re.Pattern[str], Callable[[str], bool]], ...]
    """Where a pattern has a group, the group is what is checked and found."""

    def spans(self, text: str) -> Iterator[Span]:
        """What is found in a text."""
        for pattern, check in self.patterns:
            for found in pattern.finditer(text):
                group = found.lastindex or 0
                if check(found[group]):
                    yield Span(self.name, found.start(group), found.end(group))


def _yes(text: str) -> bool:
    del text
    return True


_MAIL = r"[A-Za-z0-9](?:[A-Za-z0-9._%+'-]{0,62}[A-Za-z0-9_+-])?"
_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,24}"
_EMAIL = (
    (re.compile(rf"(?<![\w.+%@/:-]){_MAIL}@{_HOST}(?![\w@-])(?!:[\w/~])"), checks.email),
    (re.compile(rf"(?i)(?<![\w.+%-]){_MAIL} ?[(\[]at[)\]] ?{_HOST}\b"), _yes),
    (re.compile(rf"(?i)(?<![\w.+%-]){_MAIL} ?[(\[]at[)\]] ?[\w-]+(?: ?[(\[]dot[)\]] ?[\w-]+)+"), _yes),
    (re.compile(rf"(?i)\b(?:mailto|e?-?mail|address|contact|to|from|cc):({_MAIL}@{_HOST})"), checks.email),
)
_FAR = r"\+[1-9][0-9]{0,2}(?:[ .\u00a0-]?(?:\(0?\d{1,4}\)|\d{1,5})){1,6}"
_LEAD = (
    r"(?i:\b(?:tel(?:ephone|efon|\.)?|t[ée]l[ée]phone|phone|mobile|mob\.|cell|fax|call|whatsapp|sms)\b"
    r"(?: ?(?:no|number|us|at)\b\.?)?)"
)
_PHONE = (
    (re.compile(rf"(?<![\w+=*/^.)]){_FAR}(?![\w+*=/^]|[.,]\d)"), checks.phone),
    (
        re.compile(
            r"(?<![\w+.$/-])(?:1[ .-])?(?:\(\d{3}\) ?\d{3}[-. ]|\d{3}-\d{3}-|\d{3}\.\d{3}\.)\d{4}(?![\w/]|[-.]\d)"
        ),
        checks.phone,
    ),
    (
        re.compile(rf"{_LEAD}[:. ]{{0,3}}((?:\(\d{{1,5}}\)[ -]?)?\d(?:[ ./-]?\d){{6,14}})(?![\w]|[.,]\d)"),
        checks.dialled,
    ),
)
_GROUP = r"[0-9]{4}[ -]?[0-9]{4}[ -]?[0-9]{4}[ -]?[0-9]{1,4}(?:[ -]?[0-9]{1,3})?|[0-9]{4}[ -]?[0-9]{6}[ -]?[0-9]{4,5}"
_CARD = ((re.compile(rf"(?<![\w.,/-])(?:{_GROUP})(?![\w-]|[.,]\d)"), checks.card),)
_IBAN = (
    (
        re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?![A-Za-z0-9])"),
        checks.iban,
    ),
    (re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}(?![A-Za-z0-9])"), checks.iban),
)
_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_NUMBERED = r"(?i:(?<!version )(?<!version: )(?<!release )(?<!section )(?<!chapter )(?<!v\. )(?<!build ))"
_IP = (
    (re.compile(rf"(?<![\w.-]){_NUMBERED}{_OCTET}(?:\.{_OCTET}){{3}}(?![\w-]|\.\d)"), checks.public_ip),
    (re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{1,4}:){2,7}(?::?[0-9A-Fa-f]{1,4}){0,6}(?![\w:]|\.\d)"), checks.public_ip),
    (
        re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{1,4}:){1,6}:(?:[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{1,4}){0,5})?(?![\w:])"),
        checks.public_ip,
    ),
)
_PREFIXED = "|".join(
    (
        r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}",
        r"gh[pousr]_[A-Za-z0-9]{36,251}",
        r"github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}",
        r"glpat-[A-Za-z0-9_-]{20,}",
        r"xox[abeoprs]-[A-Za-z0-9-]{20,}",
        r"AIza[A-Za-z0-9_-]{35}",
        r"sk-(?:proj-|svcacct-|ant-(?:api\d\d-)?)?[A-Za-z0-9_-]{20,}",
        r"[sr]k_(?:live|test)_[A-Za-z0-9]{20,}",
        r"hf_[A-Za-z0-9]{34,}",
        r"npm_[A-Za-z0-9]{36}",
        r"pypi-AgE[A-Za-z0-9_-]{50,}",
        r"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}",
        r"dop_v1_[a-f0-9]{64}",
        r"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}",
    )
)
_ASSIGNED = (
    r"(?i:\b[\w-]{0,30}(?:api[_-]?key|secret|access[_-]?token|auth[_-]?token|passw(?:or)?d|pwd|client[_-]?secret)[\w-]{0,20})"
    r"[\"']?\s{0,3}(?:=>|:=|[:=])\s{0,3}[\"']?([A-Za-z0-9+/_=.~-]{16,200})(?![A-Za-z0-9+/_(-])"
)
_KEY = (
    (re.compile(rf"(?<![A-Za-z0-9_-])(?:{_PREFIXED})(?![A-Za-z0-9_-])"), checks.secret),
    (re.compile(_ASSIGNED), checks.assigned_secret),
    (re.compile(r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----[\s\S]{20,8000}?-----END (?:[A-Z]+ )*PRIVATE KEY-----"), _yes),
    (re.compile(r"\b[a-z][a-z0-9+]{1,20}://[^\s:/@]{1,64}:([^\s:/@]{6,128})@"), checks.assigned_secret),
)

_HINTS = {
    "key": (
        r"PRIVATE KEY-----|[Aa][Pp][Ii][_-]?[Kk][Ee][Yy]|[Ss]ecret|SECRET|[_-][Tt]oken|ssToken|thToken|[_-]TOKEN"
        r"|[Pp]ass[Ww]|PASSW|[Pp]wd|PWD|://[^ \n/@]{1,99}:[^ \n/@]+@|AKIA|ASIA|ABIA|ACCA|gh[pousr]_|github_pat_|glpat-"
        r"|xox[abeoprs]-|AIza|sk-|[sr]k_live|[sr]k_test|hf_|npm_|pypi-AgE|SG\.|dop_v1_|eyJ"
    ),
    "card": r"[0-9]{4}[ -]?[0-9]{4}[ -]?[0-9]{4}|[0-9]{4}[ -]?[0-9]{6}[ -]?[0-9]{4}",
    "iban": r"[A-Z]{2}[0-9]{2} ?[A-Z0-9]{4}",
    "email": r"@|[(\[][Aa][Tt][)\]]",
    "ip": r"[0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]|[0-9A-Fa-f]:[0-9A-Fa-f]{0,4}:",
    "phone": (
        r"\+[0-9]|[0-9]{3}\) ?[0-9]{3}[-. ][0-9]{4}|[0-9]{3}[-.][0-9]{3}[-.][0-9]{4}"
        r"|(?:[Tt][eé]l|TEL|[Pp]hone|PHONE|[Mm]ob|MOB|[Cc]ell|CELL|[Ff]ax|FAX|[Cc]all|CALL|[Ww]hats[Aa]pp|WHATSAPP|SMS|[Ss]ms)"
        r"[^0-9\n]{0,20}[0-9]"
    ),
}
_PATTERNS = {"key": _KEY, "card": _CARD, "iban": _IBAN, "email": _EMAIL, "ip": _IP, "phone": _PHONE}

KINDS: dict[str, Kind] = {name: Kind(name, hint, _PATTERNS[name]) for name, hint in _HINTS.items()}
"""By name; where two overlap the one named first here is found."""


def spans_in(text: str, kinds: Sequence[str]) -> list[Span]:
    """Everything of some kinds in a text, in order and apart.

    >>> spans_in("Write to ora@salt.org or +44 20 7946 0018", ["email", "phone"])
    [Span(kind='email', start=9, end=21), Span(kind='phone', start=25, end=41)]
    """
    order = [name for name in KINDS if name in kinds]
    return apart(span for name in order for span in KINDS[name].spans(text))


def apart(spans: Iterable[Span]) -> list[Span]:
    """Spans that do not overlap, in order: one that comes first in what is given stays."""
    kept: list[Span] = []
    for span in spans:
        if span.end > span.start and all(span.end <= one.start or span.start >= one.end for one in kept):
            kept.append(span)
    return sorted(kept, key=lambda span: span.start)
