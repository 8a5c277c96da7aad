"""Checks that tell a card, account, address, number or key from digits and letters that only look like one.

>>> luhn("4539578763621486"), luhn("4539578763621487")
(True, False)
>>> iban("GB82 WEST 1234 5698 7654 32"), iban("GB82 WEST 1234 5698 7654 33")
(True, False)
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections import Counter

_IBAN = (
    "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 EG29 "
    "ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 "
    "LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 "
    "QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30 "
)
IBAN_LENGTHS = {one[:2]: int(one[2:]) for one in _IBAN.split()}
"""Characters of an account number by country: the SWIFT registry."""
RESERVED_DOMAINS = re.compile(r"(?i)(?:^|\.)(?:example\.(?:com|net|org)|example|test|invalid|localhost|local)$")
"""Kept for examples by RFC 2606 and 6762: nobody's address."""
_SUFFIXES = (
    "png jpg jpeg gif svg webp bmp ico css js ts jsx tsx py rb rs go java php html htm md txt json yaml yml xml zip "
    "gz tar pdf so dll exe lock toml cfg ini log"
)
FILE_SUFFIXES = frozenset(_SUFFIXES.split())
"""What ends ``icon@2x.png``; of these only a few are domains too, and those hold hardly any mail."""
_CODES = (
    "1 7 20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 60 61 62 63 64 65 66 81 82 "
    "84 86 90 91 92 93 94 95 98 211 212 213 216 218 220 221 222 223 224 225 226 227 228 229 230 231 232 233 234 235 "
    "236 237 238 239 240 241 242 243 244 245 246 248 249 250 251 252 253 254 255 256 257 258 260 261 262 263 264 "
    "265 266 267 268 269 290 291 297 298 299 350 351 352 353 354 355 356 357 358 359 370 371 372 373 374 375 376 "
    "377 378 380 381 382 383 385 386 387 389 420 421 423 500 501 502 503 504 505 506 507 508 509 590 591 592 593 "
    "594 595 596 597 598 599 670 672 673 674 675 676 677 678 679 680 681 682 683 685 686 687 688 689 690 691 692 "
    "850 852 853 855 856 880 886 960 961 962 963 964 965 966 967 968 970 971 972 973 974 975 976 977 992 993 994 "
    "995 996 998 "
)
CALLING_CODES = frozenset(_CODES.split())
"""Country codes of ITU-T E.164."""
_SECRET_LIKE = 3.0
"""Bits a character from which letters and digits look drawn: ``xxxxxxxx`` has 0, 20 letters drawn of 62 some 3.9."""


def luhn(digits: str) -> bool:
    """Whether the last digit checks the others (ISO/IEC 7812)."""
    total = 0
    for place, one in enumerate(reversed(digits)):
        value = int(one) * (1 + place % 2)
        total += value - 9 * (value > 9)
    return total % 10 == 0


def card(text: str) -> bool:
    """Whether it is a payment card's number: an issuer's range and length, then the check digit.

    >>> card("4539 5787 6362 1486"), card("1234567890123452"), card("4444444444444444")
    (True, False, False)
    """
    digits = re.sub(r"[ -]", "", text)
    return digits.isdigit() and len(digits) in _card_lengths(digits) and len(set(digits)) > 1 and luhn(digits)


def _card_lengths(digits: str) -> range | tuple[int, ...]:
    four = int(digits[:4])
    if digits[0] == "4":
        return (13, 16, 19)
    if 5100 <= four <= 5599 or 2221 <= four <= 2720:
        return (16,)
    if digits[:2] in ("34", "37"):
        return (15,)
    if four // 10 in (*range(300, 306),) or digits[:2] in ("36", "38"):
        return (14,)
    if four == 6011 or digits[:2] == "65" or 6440 <= four <= 6499 or digits[:2] == "62" or 3528 <= four <= 3589:
        return (16, 17, 18, 19)
    return ()


def iban(text: str) -> bool:
    """Whether it is a bank account's number: its country's length and remainder 1 by 97 (ISO 13616)."""
    plain = re.sub(r"[ -]", "", text).upper()
    if len(plain) != IBAN_LENGTHS.get(plain[:2]):
        return False
    return int("".join(str(int(one, 36)) for one in plain[4:] + plain[:4])) % 97 == 1


def public_ip(text: str) -> bool:
    """Whether it is an address on the internet: no private, local, reserved or documentation range.

    Fewer than three numbers of two digits or more (``4.4.63.12``) are the version of a program more often: of 20,000
    real passages with four numbers in a row, hardly one such was an address.

    >>> public_ip("203.0.113.7"), public_ip("93.184.216.34"), public_ip("192.168.0.1"), public_ip("1.2.3.4")
    (False, True, False, False)
    >>> public_ip("2001:db8::1"), public_ip("2606:2800:220:1::1"), public_ip("dead::beef"), public_ip("12:30:45")
    (False, True, False, False)
    """
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if address.version == 6:
        return address.is_global and address in ipaddress.ip_network("2000::/3")
    return address.is_global and sum(len(octet) > 1 for octet in text.split(".")) > 2


def email(text: str) -> bool:
    """Whether it can be somebody's address.

    >>> email("ora@salt.org"), email("ora@example.com"), email("icon@2x.png"), email("git@github.com")
    (True, False, False, False)
    """
    local, _, domain = text.rpartition("@")
    last = domain.rpartition(".")[2].lower()
    machine = local.lower() in ("git", "hg", "svn")
    return not (RESERVED_DOMAINS.search(domain) or last in FILE_SUFFIXES or machine or ".." in local)


def phone(text: str) -> bool:
    """Whether it can be a telephone's number: a country code or an American area code, and as many digits as there are.

    >>> phone("+44 20 7946 0018"), phone("(212) 736-5000"), phone("212-555-0143"), phone("+0 123 456 789")
    (True, True, False, False)
    """
    digits = re.sub(r"\D", "", text)
    if len(set(digits)) < 3:
        return False
    if text.startswith(("+", "00")):
        digits = digits.removeprefix("00") if text.startswith("00") else digits
        code = next((digits[:size] for size in (1, 2, 3) if digits[:size] in CALLING_CODES), "")
        if code == "1":
            return len(digits) == 11 and _american(digits[1:])
        return bool(code) and 8 <= len(digits) <= 15
    digits = digits[1:] if len(digits) == 11 and digits[0] == "1" else digits
    return len(digits) == 10 and _american(digits)


def _american(digits: str) -> bool:
    """Area code and exchange begin with 2 to 9; 555-01xx is kept for fiction."""
    fiction = digits[3:6] == "555" and digits[6:8] == "01"
    return digits[0] in "23456789" and digits[3] in "23456789" and digits[1:3] != "11" and not fiction


def dialled(text: str) -> bool:
    """Whether what follows ``Tel.`` can be a number: 7 to 15 digits, not one date.

    >>> dialled("030 1234567"), dialled("12 34"), dialled("2024-05-06")
    (True, False, False)
    """
    digits = re.sub(r"\D", "", text)
    date = re.fullmatch(r"\d{4}-\d\d-\d\d|\d\d?[./]\d\d?[./]\d{4}", text.strip())
    return 7 <= len(digits) <= 15 and len(set(digits)) > 2 and date is None


def bits(text: str) -> float:
    """Shannon entropy a character.

    >>> bits("aaaa"), bits("abcd")
    (0.0, 2.0)
    """
    counts = Counter(text).values()
    return -sum(count / len(text) * math.log2(count / len(text)) for count in counts) + 0.0


def secret(text: str) -> bool:
    """Whether a key's letters look drawn, and not written for an example.

    >>> secret("AKIAIOSFODNN7EXAMPLE"), secret("ghp_" + "x" * 36), secret("AKIA4Q7ZB2MVW3LTNXD5")
    (False, False, True)
    """
    said = re.search(r"(?i)example|placeholder|your|xxxx|changeme|dummy|1234567890|abcdefgh", text)
    return said is None and bits(text) >= _SECRET_LIKE


def assigned_secret(text: str) -> bool:
    """Whether what is assigned to ``api_key`` or ``password`` is a key: letters and digits, and more mixed than words.

    >>> assigned_secret("q7Hf92kLmZ0xVb3TnR8s"), assigned_secret("get_token_from_environment")
    (True, False)
    """
    mixed = re.search(r"\d", text) and re.search(r"[A-Za-z]", text)
    return bool(mixed) and text.count("/") < 2 and secret(text) and bits(text) >= 3.5
