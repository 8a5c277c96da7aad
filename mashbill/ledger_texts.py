"""Requests as the ledger's rows hold them: long message parts stand once, under their digest.

``Message("user", (document, "Summarise it."))`` -> ``["user", ["@9b1e…", "Summarise it."]]`` and, the first time, a row
of the table ``texts`` with the document compressed. A part that itself begins with the mark is escaped.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable

from mashbill.engine import Message, Request, Sampling
from mashbill.packing import from_json, to_json

SHARED = 256
"""Message parts at least this long are stored once by digest; shorter ones cost less in place."""


class SharedTexts:
    """Packs requests, and knows which texts the ledger holds already."""

    def __init__(self) -> None:
        self._known: set[bytes] = set()

    def pack(self, request: Request, new: dict[bytes, bytes]) -> bytes:
        """The bytes of a request; texts that are not known yet are put into `new`, compressed, by digest."""
        messages = [[one.role, [self._shared(part, new) for part in one.parts]] for one in request.messages]
        return to_json(
            {"messages": messages, "sampling": request.sampling, "schema": request.schema, "seed": request.seed}
        )

    def stored(self, new: dict[bytes, bytes]) -> None:
        """Say that these are on disk."""
        self._known.update(new)

    def _shared(self, part: str, new: dict[bytes, bytes]) -> str:
        if len(part) < SHARED:
            # A short part that begins with the mark would be taken for a digest.
            return "\\" + part if part.startswith(("@", "\\")) else part
        body = part.encode("utf-8", "surrogatepass")
        digest = hashlib.blake2b(body, digest_size=16).digest()
        if digest not in self._known and digest not in new:
            new[digest] = zlib.compress(body, 6)
        return "@" + digest.hex()


def unpack(packed: bytes, text_of: Callable[[bytes], bytes]) -> Request:
    """The request in a row; `text_of` gives the compressed text under a digest."""
    fields = from_json(packed)
    messages = tuple(
        Message(role, tuple(_restored(part, text_of) for part in parts)) for role, parts in fields["messages"]
    )
    return Request(
        messages=messages,
        sampling=sampling_of(fields["sampling"]),
        schema=fields["schema"],
        seed=fields["seed"],
    )


def sampling_of(fields: dict[str, object]) -> Sampling:
    """Sampling parameters as JSON gives them back."""
    stop = fields["stop"]
    assert isinstance(stop, list)
    return Sampling(**{**fields, "stop": tuple(stop)})  # type: ignore[arg-type]


def _restored(part: str, text_of: Callable[[bytes], bytes]) -> str:
    if part.startswith("\\"):
        return part[1:]
    if not part.startswith("@"):
        return part
    return zlib.decompress(text_of(bytes.fromhex(part[1:]))).decode("utf-8", "surrogatepass")
