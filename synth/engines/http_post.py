"""POST a body, read the whole answer: all an engine needs of HTTP, over connections that are kept.

aiohttp's connector makes the connections (names, TLS, proxies), keeps and closes them, and its parser reads what comes.
The layers above, a session's, build the URL, headers, cookies, timers and a writing task anew for each request, though
for one endpoint they are always the same, or not wanted: redirects and cookies. Without them an ask costs the main
thread 25 microseconds less.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp
from aiohttp.connector import Connection
from yarl import URL


@dataclass(frozen=True, slots=True)
class Answer:
    """One whole answer."""

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes


class Target:
    """Where to post: a URL with its headers, by way of a proxy or not."""

    __slots__ = ("_head", "_route")

    def __init__(self, url: URL, headers: Mapping[str, str], proxy: URL | None) -> None:
        # Never sent: the connector asks it where to connect, and leaves the proxy's credentials among its headers.
        skipped = (aiohttp.hdrs.ACCEPT_ENCODING, aiohttp.hdrs.USER_AGENT)
        loop = asyncio.get_running_loop()
        self._route = aiohttp.ClientRequest(
            "POST", url, headers=headers, skip_auto_headers=skipped, proxy=proxy, loop=loop
        )
        self._head = b""

    @property
    def route(self) -> aiohttp.ClientRequest:
        """What the connector wants to know."""
        return self._route

    def head(self) -> bytes:
        """The head of every request as far as its content length; known once a connection was made."""
        if not self._head:
            route = self._route
            # A proxy that only passes on is told the whole address; one with a tunnel to the server, as no proxy.
            path = str(route.url) if route.proxy and not route.is_ssl() else route.url.raw_path_qs
            lines = [f"{name}: {value}" for name, value in route.headers.items() if name.lower() != "content-length"]
            self._head = "\r\n".join([f"POST {path} HTTP/1.1", *lines, "Content-Length: "]).encode()
        return self._head


class Poster:
    """Posts, over connections of its own; no limit to their number, which is the pool's business."""

    def __init__(self, timeout: float) -> None:
        self._connector = aiohttp.TCPConnector(limit=0, ttl_dns_cache=300)
        self._timeout = timeout
        self._connecting = aiohttp.ClientTimeout(connect=min(30.0, timeout))

    async def post(self, target: Target, body: bytes) -> Answer:
        """Send a body and read the answer, in the time there is for both.

        Raises:
            TimeoutError: when the answer was not whole in time.
            aiohttp.ClientError, aiohttp.http.HttpProcessingError, OSError: when it cannot be had.
        """
        async with asyncio.timeout(self._timeout):
            connection = await self._connector.connect(target.route, [], self._connecting)
            try:
                answer = await _exchange(connection, target.head(), body)
            except BaseException:
                connection.close()
                raise
            connection.release()
            return answer

    async def close(self) -> None:
        """Close every connection."""
        await self._connector.close()


async def _exchange(connection: Connection, head: bytes, body: bytes) -> Answer:
    protocol, transport = connection.protocol, connection.transport
    if protocol is None or transport is None:
        raise aiohttp.ServerDisconnectedError
    protocol.set_response_params(read_until_eof=True)
    transport.write(b"%b%d\r\n\r\n%b" % (head, len(body), body))
    while True:
        message, payload = await protocol.read()
        if message.code == 101 or not 100 <= message.code < 200:  # what comes before the answer is no answer
            break
    answer = Answer(message.code, message.reason or "", message.headers, await payload.read())
    if transport.get_write_buffer_size():
        protocol.force_close()  # answered before it was all sent: what is left must not begin the next request
    return answer
