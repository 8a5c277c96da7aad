"""Answer matchers and checks of worked answers, for verification and for evaluation alike.

>>> from mashbill.matching import matcher
>>> matcher("exact").compare("The Salt Guild.", "salt guild").outcome
'same'
"""

from __future__ import annotations

from mashbill.matching.base import Matcher
from mashbill.matching.final_answer import MARKERS, final_answer
from mashbill.matching.load import Spec, available, matcher, matcher_of, spec_of
from mashbill.matching.match import Match, Outcome

__all__ = [
    "MARKERS",
    "Match",
    "Matcher",
    "Outcome",
    "Spec",
    "available",
    "final_answer",
    "matcher",
    "matcher_of",
    "spec_of",
]
