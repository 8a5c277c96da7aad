r"""How a model refuses: phrases, as regular expressions in Rust's syntax.

``"I'm sorry, but I can't help with that."`` and ``"As an AI language model, I cannot"`` are refusals; ``"I cannot help
thinking of Veylund."`` is none. A refusal opens the text, in the first person, and refuses something an assistant is
asked for; "As an AI language model" counts anywhere, but only when the speaker goes on as "I".
"""

from __future__ import annotations

_OPENING = r"(?is)\A[\s\"'“‘*_>#-]*(?:(?:sorry|apologies|unfortunately|regrettably)\s*[,.!—–-]+\s*(?:but\s+)?)?"
_I = r"(?:i['’]m|i\s+am)"
_CANNOT = (
    r"(?:can['’]?t|can\s?not|won['’]t|will\s+not|am\s+(?:not\s+able|unable)\s+to|['’]m\s+(?:not\s+able|unable)\s+to)"
)
_APOLOGY = (
    rf"{_OPENING}(?:{_I}\s+(?:very\s+|so\s+|truly\s+)?sorry|i\s+apologi[sz]e|my\s+apologies)[\s,.;:—–-]+"
    rf"(?:but\s+|however,?\s+)?(?:as\s+an?\s+[^.\n]{{0,40}}?,?\s*)?i\s*{_CANNOT}\b"
)
_DECLINE = (
    rf"{_OPENING}i\s*{_CANNOT}\s+(?:"
    r"(?:assist|help)(?:\s+you)?\s+(?:with|in)\b"
    r"|(?:assist|help)\s+you\b"
    r"|(?:comply|engage)\s+with\b"
    r"|(?:fulfil|fulfill|complete|process|answer|accommodate)\s+(?:this|that|your|the|such)\s+(?:\w+\s+)?"
    r"(?:request|question|query|prompt|task|instruction)s?\b"
    r"|(?:provide|generate|create|write|produce|offer|give|discuss|share)\s+(?:you\s+(?:with\s+)?)?"
    r"(?:any\s+|this\s+|that\s+|such\s+|an?\s+|the\s+)?(?:\w+\s+){0,2}"
    r"(?:information|content|instructions|response|answer|advice|guidance|summary|text|details|material)\b"
    r")"
)
_SELF = (
    r"(?i)\bas\s+an?\s+(?:ai|artificial\s+intelligence|(?:large\s+)?(?:ai\s+)?language\s+model)"
    r"(?:\s+(?:language\s+)?(?:model|assistant|system|chatbot))?"
    r"(?:\s+(?:developed|created|trained|made)\s+by\s+\w+)?\s*,?\s+i(?:['’]m|['’]ve|\s+(?:am|can|can['’]?t|cannot|do|don['’]t"
    r"|have|haven['’]t|must|should|will|won['’]t|would|was|lack))\b"
)
_I_AM_A_MODEL = rf"{_OPENING}{_I}\s+(?:just\s+|only\s+|merely\s+)?an?\s+(?:ai|(?:large\s+)?language\s+model)\b"

REFUSAL_PATTERNS = (_APOLOGY, _DECLINE, _SELF, _I_AM_A_MODEL)
