"""Units that answers are given in: their names, and what each measures.

``$``, ``dollars`` and ``USD`` are one unit; ``minutes`` and ``hours`` are two of one measure. What is not listed
(clips, apples) is no unit. ``in`` is left out: "72 in total" is no length. A pound is a pound, of money or of weight.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_NAMES: Mapping[str, Mapping[str, str]] = {
    "money": {
        "dollar": "$ dollars usd bucks",
        "cent": "¢ cents pennies",
        "euro": "€ euros eur",
        "yen": "¥ jpy",
        "rupee": "₹ rupees inr",
    },
    "share": {"percent": "% percents pct percentage"},
    "time": {
        "second": "seconds sec secs s",
        "minute": "minutes min mins",
        "hour": "hours hr hrs h",
        "day": "days",
        "week": "weeks wk wks",
        "month": "months",
        "year": "years yr yrs",
    },
    "clock": {"am": "a.m.", "pm": "p.m."},
    "length": {
        "millimetre": "millimetres millimeter millimeters mm",
        "centimetre": "centimetres centimeter centimeters cm",
        "metre": "metres meter meters m",
        "kilometre": "kilometres kilometer kilometers km kms",
        "inch": "inches",
        "foot": "feet ft",
        "yard": "yards yd yds",
        "mile": "miles mi",
    },
    "mass": {
        "milligram": "milligrams mg",
        "gram": "grams g",
        "kilogram": "kilograms kg kgs kilos kilo",
        "ounce": "ounces oz",
        "pound": "pounds lb lbs £ gbp",
        "ton": "tons tonne tonnes",
    },
    "volume": {
        "millilitre": "millilitres milliliter milliliters ml",
        "litre": "litres liter liters l",
        "gallon": "gallons gal",
        "quart": "quarts",
        "pint": "pints",
    },
    "temperature": {"celsius": "°c °celsius", "fahrenheit": "°f °fahrenheit"},
    "speed": {"mile/hour": "mph", "kilometre/hour": "kph km/h"},
}
_UNIT = {word: unit for units in _NAMES.values() for unit, words in units.items() for word in (unit, *words.split())}
_MEASURE = {unit: measure for measure, units in _NAMES.items() for unit in units}

_WORDS = re.compile(r"[%$€£¥₹¢]|°?[a-z]+(?:\.m\.)?(?:/[a-z]+)?")
_DEGREES = re.compile(r"\A(?:degrees?|°)\s*(?=[cf](?![a-z])|celsius|fahrenheit)")
_PER = re.compile(r"\s*(?:per|an?|each|/)\s+([a-z]+)")
_AREA = {"square": 2, "sq": 2, "cubic": 3, "cu": 3}


def unit_of(text: str) -> str:
    """The unit a text begins with, by its one name, or nothing.

    >>> unit_of("miles per hour"), unit_of("mph"), unit_of("square feet"), unit_of("clips")
    ('mile/hour', 'mile/hour', 'foot^2', '')
    """
    text = text[:200].lower().lstrip(" -\u00a0")
    text = _DEGREES.sub("°", text).replace("per cent", "percent")
    first = _WORDS.match(text)
    if first is None:
        return ""
    word = first[0]
    if power := _AREA.get(word):
        after = _WORDS.match(text[first.end() :].lstrip(". "))
        base = _UNIT.get(after[0], "") if after else ""
        return f"{base}^{power}" if base else ""
    unit = _UNIT.get(word, "")
    if unit and (per := _PER.match(text, first.end())):
        over = _UNIT.get(per[1], "")
        return f"{unit}/{over}" if over else unit
    return unit


def measure_of(unit: str) -> str:
    """What a unit measures.

    >>> measure_of("minute"), measure_of("hour")
    ('time', 'time')
    """
    return _MEASURE.get(unit, "")
