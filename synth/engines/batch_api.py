"""A provider's files and batches over HTTP: upload, create, look, find, fetch, cancel.

What may be sent twice is tried again after momentary faults: looking, fetching, uploading (a file nobody names costs
nothing). Creating a batch may not: the request that seemed to fail may have been taken. So before a second try the
provider is asked for its batches, and one that names our file is ours.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import orjson
from yarl import URL

from mashbill.disk import replacing
from mashbill.errors import EngineDown, EngineGarbage, EngineRefused
from synth.engines.adaptive import Endpoint
from synth.engines.batch_lines import ENDPOINT
from synth.engines.openai_run import OpenaiRun
from synth.engines.wire import retry_after, said

T = TypeVar("T")

FINAL = frozenset(("completed", "failed", "expired", "cancelled"))
"""Words of a batch that ends."""
_MOMENTARY = frozenset((408, 409, 425, 429))
_PAGES, _PAGE = 50, 100
"""How far back a batch is looked for: 5,000 batches."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0


class Missing(Exception):
    """There is no such file or batch at the provider."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch as the provider tells of it."""

    id: str
    status: str
    output: str
    """The id of its output file, or nothing."""
    errors: str
    done: int
    failed: int
    why: str
    """Why it failed as a whole, or nothing: made safe to show."""
    codes: tuple[str, ...]


class BatchApi:
    """The provider's end, at one endpoint."""

    def __init__(self, endpoint: Endpoint, run: OpenaiRun) -> None:
        self.name, self._run = endpoint.name, run
        self._base, self._proxy = _base(endpoint), endpoint.proxy
        self.place = self.place_of(endpoint)
        headers = {name: value for name, value in endpoint.headers.items() if name != "Content-Type"}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=run.timeout)
        self._session = aiohttp.ClientSession(headers=headers, timeout=timeout)

    @staticmethod
    def place_of(endpoint: Endpoint) -> str:
        """Host, port and path: where its batches are."""
        return f"{endpoint.name}{_base(endpoint).path}"

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def upload(self, path: Path) -> str:
        """Send an input file; its id."""

        async def once() -> str:
            with path.open("rb") as lines:  # anew for each try: the last one read it
                form = aiohttp.FormData({"purpose": "batch"})
                form.add_field("file", lines, filename=path.name, content_type="application/jsonl")
                file_id = (await self._json("POST", "files", data=form)).get("id")
            if not isinstance(file_id, str):
                raise _Momentary("an answer that names no file", garbage=True)
            return file_id

        return await self._again(once, f"the upload of {path.name}")

    async def create(self, file_id: str, name: str, window: str) -> Batch:
        """Have a batch worked on; never twice for one file."""
        body = {
            "input_file_id": file_id,
            "endpoint": ENDPOINT,
            "completion_window": window,
            "metadata": {"mashbill": name},
        }
        tried = False

        async def once() -> Batch:
            nonlocal tried
            if tried and (there := await self.find(file_id, name)) is not None:
                return there
            tried = True
            return self._batch(await self._json("POST", "batches", json=body))

        return await self._again(once, "the creation of a batch")

    async def find(self, file_id: str, name: str) -> Batch | None:
        """The batch of an input file, if the provider has one; it is known by its file, or by the name we gave it."""
        after = ""
        for _ in range(_PAGES):
            params = {"limit": str(_PAGE)} | ({"after": after} if after else {})
            page = await self._json("GET", "batches", params=params)
            rows = page.get("data") or []
            for row in rows:
                if row.get("input_file_id") == file_id or (row.get("metadata") or {}).get("mashbill") == name:
                    return self._batch(row)
            if not rows or not page.get("has_more"):
                return None
            after = rows[-1]["id"]
        return None

    async def found(self, file_id: str, name: str) -> Batch | None:
        """As `find`, through momentary faults."""
        return await self._again(lambda: self.find(file_id, name), "the list of batches")

    async def look(self, batch_id: str) -> Batch:
        """How a batch stands.

        Raises:
            Missing: when the provider does not know it.
        """

        async def once() -> Batch:
            return self._batch(await self._json("GET", f"batches/{batch_id}"))

        return await self._again(once, f"a look at batch {batch_id}")

    async def cancel(self, batch_id: str) -> Batch:
        """Ask the provider to stop a batch; what is done by then is kept, and paid for."""

        async def once() -> Batch:
            return self._batch(await self._json("POST", f"batches/{batch_id}/cancel"))

        return await self._again(once, f"the cancelling of batch {batch_id}")

    async def fetch(self, file_id: str, to: Path) -> None:
        """Write a file of the provider's here, whole or not at all.

        Raises:
            Missing: when the provider does not have it any more.
        """

        async def once() -> None:
            async with self._sent("GET", f"files/{file_id}/content") as response:
                with replacing(to) as aside, aside.open("wb") as lines:
                    async for chunk in response.content.iter_chunked(1 << 20):
                        lines.write(chunk)

        await self._again(once, f"the file {file_id}")

    def _batch(self, row: Any) -> Batch:
        try:
            counts = row.get("request_counts") or {}
            errors = (row.get("errors") or {}).get("data") or []
            return Batch(
                id=str(row["id"]),
                status=str(row["status"]),
                output=str(row.get("output_file_id") or ""),
                errors=str(row.get("error_file_id") or ""),
                done=int(counts.get("completed") or 0),
                failed=int(counts.get("failed") or 0),
                why=said(orjson.dumps({"error": {"message": _listed(errors)}}), self._run.secrets()) if errors else "",
                codes=tuple(str(one.get("code")) for one in errors),
            )
        except (AttributeError, KeyError, TypeError, ValueError):
            raise _Momentary("an answer that is no batch", garbage=True) from None

    def _sent(self, method: str, path: str, **more: Any) -> _Sent:
        url = self._base.with_path(f"{self._base.path.rstrip('/')}/{path}", keep_query=True)
        if params := more.pop("params", None):
            url = url.update_query(params)
        return _Sent(self, self._session.request(method, url, proxy=self._proxy, allow_redirects=False, **more))

    async def _json(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        async with self._sent(method, path, **more) as response:
            try:
                answer = orjson.loads(await response.read())
            except orjson.JSONDecodeError:
                raise _Momentary("an answer that is no JSON", garbage=True) from None
            if not isinstance(answer, dict):
                raise _Momentary("JSON that is no object", garbage=True)
            return answer

    async def _again(self, once: Callable[[], Awaitable[T]], what: str) -> T:
        """Try through momentary faults until patience ends.

        Raises:
            EngineDown, EngineGarbage: when it does.
            EngineRefused: for what trying again would not mend.
        """
        first, tries = self._run.clock(), 0
        while True:
            try:
                return await once()
            except _Momentary as fault:
                tries += 1
                pause = fault.wait or min(_FIRST_PAUSE * 2.0 ** (tries - 1), _LONGEST_PAUSE)
                spent = self._run.clock() + pause - first > self._run.patience
                if spent or (fault.garbage and tries >= self._run.tries):
                    kind = EngineGarbage if fault.garbage else EngineDown
                    raise kind(
                        f"{self.name} did not serve {what} in {tries} tries (last: {fault}); batches under way stay at "
                        "the provider: run the same command again to go on, or raise MASHBILL_ENGINE_PATIENCE "
                        f"({self._run.patience:g} s)"
                    ) from None
            await self._run.sleep(pause)

    async def check(self, response: aiohttp.ClientResponse) -> None:
        """Turn an answer that is no success into an error."""
        if response.status == 200:
            return
        body = await response.read()
        what = f"{response.status} {response.reason or ''}".strip()[:60]
        if response.status == 404:
            raise Missing(f"{self.name} answers {what}: {said(body, self._run.secrets())}")
        if response.status in _MOMENTARY or response.status >= 500:
            raise _Momentary(what, wait=retry_after(response.headers, time.time()))
        if response.status in (401, 403):
            # Nothing of the body: such answers quote the key.
            raise EngineRefused(
                f"{self.name} refused its batch endpoint with {what}: set MASHBILL_API_KEY to a key it accepts"
            )
        raise EngineRefused(
            f"{self.name} refused its batch endpoint with {what}: {said(body, self._run.secrets()) or 'no message'}; "
            "mend what it names, or run without MASHBILL_ENGINE_BATCH"
        )


class _Momentary(Exception):
    """A fault worth another try."""

    def __init__(self, what: str, *, wait: float | None = None, garbage: bool = False) -> None:
        super().__init__(what)
        self.wait, self.garbage = wait, garbage


class _Sent:
    """A request under way: what breaks the connection is a momentary fault, an answer that is no success an error."""

    def __init__(self, api: BatchApi, request: Any) -> None:
        self._api, self._request = api, request

    async def __aenter__(self) -> aiohttp.ClientResponse:
        try:
            response: aiohttp.ClientResponse = await self._request.__aenter__()
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise _Momentary(f"the connection broke ({type(error).__name__})") from None
        try:
            await self._api.check(response)
        except BaseException as error:
            await self.__aexit__(type(error), error, None)
            raise
        return response

    async def __aexit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        await self._request.__aexit__(kind, error, trace)
        if isinstance(error, aiohttp.ClientError | OSError | asyncio.TimeoutError):
            raise _Momentary(f"the connection broke ({type(error).__name__})") from None


def _listed(errors: list[Any]) -> str:
    return "; ".join(str(one.get("message") or one.get("code")) for one in errors[:3])


def _base(endpoint: Endpoint) -> URL:
    return endpoint.url.with_path(endpoint.url.path.removesuffix("/chat/completions"), keep_query=True)
