"""How an OpenAI-compatible engine is reached: endpoints, keys, patience. None of it is identity.

>>> OpenaiRun.from_env({"MASHBILL_ENGINE_URL": "http://127.0.0.1:8000", "MASHBILL_API_KEY": "s3cret"})
OpenaiRun(endpoints=('http://127.0.0.1:8000',), keys=(Secret(***),), concurrency=128, first=16, ...)

Keys come from environment variables alone, so that no bill, settings file or command line holds one.
"""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.request import getproxies, proxy_bypass

from yarl import URL

from mashbill.engine_env import engine_environ, env_number
from mashbill.errors import SettingsError
from synth.engines.adaptive import Endpoint
from synth.engines.batch_run import BatchRun

URL_VARIABLE: Final = "MASHBILL_ENGINE_URL"


class Secret:
    """A key that shows itself to nobody: not in a repr, a message or a log.

    >>> Secret("abc")
    Secret(***)
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def __repr__(self) -> str:
        return "Secret(***)"

    def reveal(self) -> str:
        """The key itself, for the header that carries it."""
        return self._value


@dataclass(frozen=True, kw_only=True)
class OpenaiRun:
    """Where to send and how patiently."""

    endpoints: tuple[str, ...] = ()
    """Base URLs, as ``http://127.0.0.1:8000/v1``; a URL without a path gets ``/v1``."""
    keys: tuple[Secret | None, ...] = ()
    """One for each endpoint, or one for all."""
    concurrency: int = 128
    """The most requests in flight at one endpoint; what is in flight adapts below it."""
    first: int = 16
    """Slots an endpoint begins with: six doublings from a thousand, and under the limit of every paid provider."""
    timeout: float = 600.0
    """Seconds for one try, from sending to the last byte."""
    tries: int = 8
    """Tries of one request before the run stops; being told to slow down does not count as one."""
    patience: float = 900.0
    """Seconds to be told to slow down without one success before the run stops; also the longest Retry-After."""
    batch: BatchRun | None = None
    """How the provider's batch endpoint is used; None sends each request by itself."""
    sleep: Callable[[float], Awaitable[None]] = field(default=asyncio.sleep, repr=False)
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> OpenaiRun:
        """Read the environment; missing URLs are an error only when the engine starts.

        Raises:
            SettingsError: for a variable that cannot be read, naming it and never its value where it may be a key.
        """
        env = engine_environ(environ)
        urls = _listed(env.get(URL_VARIABLE) or env.get("OPENAI_BASE_URL", ""))
        names = _listed(env.get("MASHBILL_API_KEY_NAMES", ""))
        if len(names) not in (0, 1, len(urls)):
            raise SettingsError(
                f"MASHBILL_API_KEY_NAMES names {len(names)} variables for {len(urls)} endpoints; "
                f"name one for all or one for each in {URL_VARIABLE}"
            )
        return cls(
            endpoints=urls,
            keys=tuple(_key(env, url, names[i % len(names)] if names else "") for i, url in enumerate(urls)),
            concurrency=int(env_number(env, "MASHBILL_ENGINE_CONCURRENCY", cls.concurrency, least=1)),
            timeout=env_number(env, "MASHBILL_ENGINE_TIMEOUT", cls.timeout, least=0.001),
            tries=int(env_number(env, "MASHBILL_ENGINE_TRIES", cls.tries, least=1)),
            patience=env_number(env, "MASHBILL_ENGINE_PATIENCE", cls.patience, least=0),
            batch=BatchRun.from_env(env),
        )

    def secrets(self) -> tuple[str, ...]:
        """Every key, to be taken out of whatever a server says."""
        return tuple(key.reveal() for key in self.keys if key is not None)

    def open(self) -> tuple[Endpoint, ...]:
        """The endpoints, checked, each with its URL and headers ready.

        Raises:
            SettingsError: when there are none, or one is no URL to send to.
        """
        if not self.endpoints:
            raise SettingsError(
                f"no engine endpoint is set; set {URL_VARIABLE}, as {URL_VARIABLE}=http://127.0.0.1:8000/v1 "
                "(several: with commas), and MASHBILL_API_KEY if it wants a key"
            )
        if len(self.keys) not in (0, 1, len(self.endpoints)):
            raise SettingsError(f"{len(self.keys)} keys for {len(self.endpoints)} endpoints; give one for all or each")
        return tuple(self._endpoint(i, url) for i, url in enumerate(self.endpoints))

    def _endpoint(self, index: int, text: str) -> Endpoint:
        url = _checked(text)
        key = self.keys[index % len(self.keys)] if self.keys else None
        headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "mashbill"}
        if key is not None:
            headers["Authorization"] = f"Bearer {key.reveal()}"
        return Endpoint(url, headers, max(1, self.concurrency), self.first, _proxy(url))


def _listed(value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _key(env: Mapping[str, str], url: str, name: str) -> Secret | None:
    if name:
        if name not in env:
            raise SettingsError(f"MASHBILL_API_KEY_NAMES names {name}, which is not set; export it or take it out")
    elif "MASHBILL_API_KEY" in env:
        name = "MASHBILL_API_KEY"
    elif "OPENAI_API_KEY" in env and _private(url):
        # Set for other programs too, so it never goes in clear text to another machine.
        name = "OPENAI_API_KEY"
    value = env.get(name, "").strip()
    if any(not " " < letter < "\x7f" for letter in value):
        raise SettingsError(f"{name} holds a space, a line break or a letter outside ASCII; export the key again")
    return Secret(value) if value else None


def _private(url: str) -> bool:
    parsed = URL(url)
    return parsed.scheme == "https" or _loopback(parsed.host or "")


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _checked(text: str) -> URL:
    try:
        url = URL(text)
        good = url.scheme in ("http", "https") and bool(url.host)
    except ValueError:
        raise SettingsError(f"an entry of {URL_VARIABLE} is no URL; wanted http://HOST:PORT/v1") from None
    if url.user is not None or url.password is not None:
        raise SettingsError(
            f"an entry of {URL_VARIABLE} for {url.host} holds a user name or password; put the key in MASHBILL_API_KEY"
        )
    if not good:
        # Without its scheme, NAME:PASSWORD@HOST is no user name and password to the parser, but may be one.
        shown = "an entry that is no URL" if "@" in text else repr(text.split("?")[0])
        raise SettingsError(f"{URL_VARIABLE} holds {shown}, wanted http://HOST:PORT/v1 or https://...")
    path = url.path.rstrip("/") or "/v1"
    # The query stays (some gateways want an API version there); messages show the host and port alone.
    return url.with_path(path if path.endswith("/chat/completions") else path + "/chat/completions", keep_query=True)


def _proxy(url: URL) -> URL | None:
    # Asked once here: aiohttp's trust_env asks for each request, and would also send what .netrc holds.
    found = getproxies().get(url.scheme)
    if not found or _loopback(url.host or "") or proxy_bypass(url.host or ""):
        return None
    return URL(found)
