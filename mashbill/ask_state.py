"""How an ask ends: one state for each, and what ends one without a reply.

A reply that says what was asked for -> ``ok``; one cut off by ``max_tokens`` -> ``truncated``; none, since the endpoint
failed this one request again and again while it served others -> ``provider_error``.

======================  ==================================================================  ==========
state                   the ask ended because                                                a reply?
======================  ==================================================================  ==========
``ok``                  the reply is what was asked for                                      yes
``truncated``           ``max_tokens`` cut the reply off before its text or object was whole yes
``filtered``            the provider's content filter ended it                               yes
``unparsable``          the reply is blank, or has not the asked shape                       yes
``refused``             the model cannot serve this request: too long, not to be written     no
``provider_error``      the endpoint failed it on every try and served others meanwhile      no
``over_budget``         it was not sent: the budget would not have held                      no
======================  ==================================================================  ==========

The last two say nothing of the request (`mashbill.errors.Unanswered`), so the next run asks again by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from mashbill.engine import Reply
from mashbill.errors import RequestRefused, Unanswered


class AskState(StrEnum):
    """One of seven; every ask ends in exactly one."""

    OK = "ok"
    TRUNCATED = "truncated"
    REFUSED = "refused"
    UNPARSABLE = "unparsable"
    FILTERED = "filtered"
    PROVIDER_ERROR = "provider_error"
    OVER_BUDGET = "over_budget"


WITHOUT_REPLY = frozenset({AskState.REFUSED, AskState.PROVIDER_ERROR, AskState.OVER_BUDGET})
"""States that no reply stands behind: their row in the ledger holds the request itself."""

ASKED_AGAIN = frozenset({AskState.PROVIDER_ERROR, AskState.OVER_BUDGET})
"""States that the next run asks again by itself."""

ENDINGS = (RequestRefused, Unanswered)
"""What an engine or a dispatcher raises to end one request, and no other, without a reply."""


def state_of_ending(error: RequestRefused | Unanswered) -> AskState:
    """The state in which an ask ends that gets no reply."""
    return AskState(error.state) if isinstance(error, Unanswered) else AskState.REFUSED


def state_of_text(reply: Reply) -> AskState:
    """The state of a reply of which text was asked.

    >>> state_of_text(Reply(text="Salt and", finish_reason="length", prompt_tokens=9, completion_tokens=2)).value
    'truncated'
    """
    if reply.finish_reason == "content_filter":
        return AskState.FILTERED
    if reply.finish_reason == "length":
        return AskState.TRUNCATED
    return AskState.OK if reply.text.strip() else AskState.UNPARSABLE


def by_state(replies: int, states: Mapping[str, int]) -> dict[str, int]:
    """Asks by state, from what a manifest counts: replies, and asks by state but those that ended ``ok``.

    >>> by_state(40, {"truncated": 3, "refused": 1})
    {'ok': 37, 'truncated': 3, 'refused': 1}
    """
    without_reply = sum(states.get(state.value, 0) for state in WITHOUT_REPLY)
    return {AskState.OK.value: replies + without_reply - sum(states.values()), **states}
