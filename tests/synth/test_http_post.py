"""One POST to its whole answer: what is sent to the letter, how answers end, and which connections are kept."""

from __future__ import annotations

import asyncio
import datetime
import gzip
import ipaddress
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from yarl import URL

from synth.engines.http_post import Answer, Poster, Target

OK = b"HTTP/1.1 200 OK\r\nX-Asked: Twice\r\nContent-Length: 4\r\n\r\nsalt"
HUGE = b"x" * 8_000_000
"""More than the sockets between two processes hold."""


@dataclass
class Server:
    """Answers each request with the next of its answers, the last one again and again; None closes."""

    says: Sequence[bytes | None] = (OK,)
    reads: bool = True
    """Wait for the whole body before the answer."""
    silent: bool = False
    port: int = 0
    heads: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    connections: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a client is gone."""

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                self.heads.append(head)
                if self.reads:
                    [length] = [line.split(": ")[1] for line in head.split("\r\n") if line.startswith("Content-Length")]
                    self.bodies.append(await reader.readexactly(int(length)))
                if self.silent:
                    await reader.read()
                    return
                said = self.says[min(len(self.heads), len(self.says)) - 1]
                if said is None:
                    return
                writer.write(said)
                if b"Content-Length" not in said and b"chunked" not in said:
                    return  # the end of the connection is the end of the answer
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            self.ended.set()


@asynccontextmanager
async def serving(server: Server, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    listening = await asyncio.start_server(server.talk, "127.0.0.1", 0, ssl=tls)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()


@asynccontextmanager
async def posting(timeout: float = 60.0) -> AsyncIterator[Poster]:
    poster = Poster(timeout)
    try:
        yield poster
    finally:
        await poster.close()


def target(server: Server, proxy: URL | None = None, scheme: str = "http") -> Target:
    url = URL(f"{scheme}://127.0.0.1:{server.port}/v1/chat?version=2#part")
    return Target(url, {"Content-Type": "application/json", "Authorization": "Bearer k"}, proxy)


async def answers(server: Server, count: int = 1) -> list[Answer]:
    async with serving(server), posting() as poster:
        to = target(server)
        return [await poster.post(to, b"{}") for _ in range(count)]


async def test_what_is_sent_and_what_comes_back() -> None:
    server = Server()
    [answer] = await answers(server)
    assert server.heads == [
        "POST /v1/chat?version=2 HTTP/1.1\r\n"
        f"Host: 127.0.0.1:{server.port}\r\n"
        "Content-Type: application/json\r\n"
        "Authorization: Bearer k\r\n"
        "Accept: */*\r\n"
        "Content-Length: 2\r\n\r\n"
    ]
    assert server.bodies == [b"{}"]
    assert (answer.status, answer.reason, answer.body) == (200, "OK", b"salt")
    assert answer.headers["x-asked"] == "Twice"  # whatever case a server writes them in


async def test_a_connection_is_kept() -> None:
    server = Server()
    assert [answer.body for answer in await answers(server, 3)] == [b"salt"] * 3
    assert server.connections == 1


@pytest.mark.parametrize(
    ("said", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nsa\r\n2\r\nlt\r\n0\r\n\r\n", b"salt"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK, b"salt"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b" % (
            len(gzip.compress(b"salt" * 9)), gzip.compress(b"salt" * 9)), b"salt" * 9),
        (b"HTTP/1.1 429 Too Many\r\nContent-Length: 0\r\n\r\n", b""),
        (b"HTTP/1.1 307 Away\r\nLocation: http://far.example/\r\nContent-Length: 2\r\n\r\nno", b"no"),
    ],
    ids=["chunked", "interim", "gzip", "nothing", "redirect"],
)  # fmt: skip
async def test_ways_to_answer_that_keep_the_connection(said: bytes, body: bytes) -> None:
    server = Server([said])
    assert [answer.body for answer in await answers(server, 2)] == [body, body]
    assert server.connections == 1


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\n\r\nsalt",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\nsalt",
        b"HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\nsalt",
    ],
    ids=["to the end", "close", "http 1.0"],
)
async def test_ways_to_answer_that_end_the_connection(said: bytes) -> None:
    server = Server([said])
    assert [answer.body for answer in await answers(server, 2)] == [b"salt", b"salt"]
    assert server.connections == 2


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (None, aiohttp.ServerDisconnectedError),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX: Content-Length\r\n\r\nzz\r\n",
            aiohttp.http.HttpProcessingError,
        ),
        (b"salt Content-Length\r\n\r\n", aiohttp.http.HttpProcessingError),
        (OK + b"more than was announced", aiohttp.http.HttpProcessingError),
    ],
    ids=["nothing", "bad chunk", "no HTTP", "more"],
)
async def test_what_is_no_answer_is_an_error_and_the_connection_is_dropped(
    said: bytes | None, error: type[Exception]
) -> None:
    server = Server([said, OK])
    async with serving(server), posting() as poster:
        to = target(server)
        with pytest.raises(error):
            await poster.post(to, b"{}")
        assert (await poster.post(to, b"{}")).body == b"salt"
    assert server.connections == 2


async def test_half_an_answer_is_an_error() -> None:
    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsalt")
        writer.close()

    listening = await asyncio.start_server(half, "127.0.0.1", 0)
    async with posting() as poster:
        to = target(Server(port=listening.sockets[0].getsockname()[1]))
        with pytest.raises(aiohttp.ClientPayloadError):
            await poster.post(to, b"")
    listening.close()


async def test_an_answer_before_the_body_was_sent_ends_the_connection() -> None:
    server = Server([b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"], reads=False)
    async with serving(server), posting() as poster:
        to = target(server)
        assert (await poster.post(to, HUGE)).status == 413
        assert (await poster.post(to, HUGE)).status == 413
    assert server.connections == 2
    assert [head.split("\r\n")[0] for head in server.heads] == ["POST /v1/chat?version=2 HTTP/1.1"] * 2


async def test_silence_ends_in_time_and_the_connection_with_it() -> None:
    server = Server(silent=True)
    async with serving(server), posting(timeout=0.05) as poster:
        with pytest.raises(TimeoutError):
            await poster.post(target(server), b"{}")
        await server.ended.wait()


async def test_a_cancelled_post_closes_its_connection() -> None:
    server = Server(silent=True)
    async with serving(server), posting() as poster:
        asked = asyncio.create_task(poster.post(target(server), b"{}"))
        while not server.bodies:
            await asyncio.sleep(0)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        await server.ended.wait()


async def test_a_proxy_for_http_is_told_the_whole_address_and_its_password() -> None:
    async with serving(Server()) as proxy, posting() as poster:
        by = Target(URL("http://far.example/v1"), {}, URL(f"http://me:pw@127.0.0.1:{proxy.port}"))
        assert [(await poster.post(by, b"")).body for _ in range(2)] == [b"salt", b"salt"]
    for head in proxy.heads:
        assert head.startswith("POST http://far.example/v1 HTTP/1.1\r\nHost: far.example\r\n")
        assert head.count("Proxy-Authorization: Basic bWU6cHc=\r\n") == 1
    assert proxy.connections == 1


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A server's context, whose certificate the client trusts."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "salt")])
    now, place = datetime.datetime.now(datetime.UTC), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([place]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file = tmp_path / "server.pem"
    file.write_bytes(private + certificate.public_bytes(pem))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file)
    trusting = ssl.create_default_context(cadata=certificate.public_bytes(pem).decode())
    monkeypatch.setattr("aiohttp.connector._SSL_CONTEXT_VERIFIED", trusting)
    return context


async def test_a_server_whose_certificate_is_trusted(tls: ssl.SSLContext) -> None:
    async with serving(Server(), tls) as server, posting() as poster:
        to = target(server, scheme="https")
        assert [(await poster.post(to, b"{}")).body for _ in range(2)] == [b"salt", b"salt"]
    assert server.connections == 1


@pytest.mark.usefixtures("tls")
async def test_a_server_nobody_vouches_for_is_sent_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "server.pem")
    monkeypatch.setattr("aiohttp.connector._SSL_CONTEXT_VERIFIED", ssl.create_default_context())
    async with serving(Server(), context) as server, posting() as poster:
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await poster.post(target(server, scheme="https"), b"{}")
    assert server.heads == []


async def test_a_tunnel_through_a_proxy_hides_the_key_from_it(tls: ssl.SSLContext) -> None:
    asked: list[str] = []

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
        except ConnectionError:
            pass
        finally:
            writer.close()

    async with serving(Server(), tls) as server, posting() as poster:

        async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
            inner, outer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
            await asyncio.gather(pass_on(reader, outer), pass_on(inner, writer))

        proxy = await asyncio.start_server(tunnel, "127.0.0.1", 0)
        by = URL(f"http://me:pw@127.0.0.1:{proxy.sockets[0].getsockname()[1]}")
        to = target(server, by, "https")
        assert [(await poster.post(to, b"{}")).body for _ in range(2)] == [b"salt", b"salt"]
        proxy.close()
    [connect] = asked
    assert connect.startswith(f"CONNECT 127.0.0.1:{server.port} HTTP/1.1\r\n")
    assert "Proxy-Authorization: Basic bWU6cHc=" in connect
    assert "Bearer" not in connect
    assert server.heads[0].startswith("POST /v1/chat?version=2 HTTP/1.1\r\n")
    assert "Proxy-Authorization" not in server.heads[0]
