"""The five dimensions by which responses are marked, each with a prompt of its own.

TCIA (arXiv 2508.20374, step 6) names the dimensions: general quality, helpfulness, instruction following, uncertainty
and truthfulness. The words are ours.
"""

from __future__ import annotations

from collections.abc import Mapping

from synth.instruction_prompts import MATERIAL

RESPONSE_SYSTEM = f"You judge answers to instructions, in one respect at a time. {MATERIAL}"
_SHOWN = """<instruction>
{instruction}
</instruction>

<answer>
{response}
</answer>

"""
_REPLY = " Reply with a JSON object: reason, in one or two sentences, then score, from 1 to 5."
QUALITY = (
    f"{_SHOWN}Mark the quality of the answer as a whole. 5: clear, whole and well ordered, nothing to mend; 3: usable "
    f"with faults; 1: unusable.{_REPLY}"
)
HELPFULNESS = (
    f"{_SHOWN}Mark how far the answer helps: is what it says right, and does it tell what was asked for? 5: right and "
    f"complete; 3: partly right, or with gaps; 1: wrong or empty.{_REPLY}"
)
FOLLOWING = (
    f"{_SHOWN}Mark how far the answer does what the instruction asks, requirement by requirement: content, counts, "
    f"style, format, language. 5: all of it; 3: most of it; 1: next to nothing.{_REPLY}"
)
UNCERTAINTY = (
    f"{_SHOWN}Mark how honest the answer is about what it knows. 5: right and sure, or unsure where there is reason to "
    f"be; 3: now and then surer or less sure than it should be; 1: wrong and sure.{_REPLY}"
)
TRUTHFULNESS = (
    f"{_SHOWN}Mark how true the answer is. Look for what contradicts the input, what is not in the input and passed "
    f"off as if it were, and what contradicts the world. 5: none of it; 3: a small matter; 1: the answer "
    f"rests on it.{_REPLY}"
)
DIMENSIONS: Mapping[str, str] = {
    "quality": QUALITY,
    "helpfulness": HELPFULNESS,
    "following": FOLLOWING,
    "uncertainty": UNCERTAINTY,
    "truthfulness": TRUTHFULNESS,
}
"""Dimension -> prompt; gets {instruction} and {response}."""
