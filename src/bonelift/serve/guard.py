"""What stands before every request: who may ask, from which page, how often, how much; and what every answer says.

Pure ASGI. A body is counted as it comes, and its sender is not waited for without end.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import json
import logging
import time
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from starlette.exceptions import HTTPException

from bonelift.serve.limits import Limits

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_log = logging.getLogger("bonelift.serve")
OWN_HEADER = b"x-bonelift"
"""No page of another origin can send it without asking first, which is not granted."""
COOKIE = "bonelift"
_SAFE = {"GET", "HEAD"}
_HEADERS = [
    (b"content-security-policy",
     b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
     b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
    (b"cache-control", b"no-store"),
]  # fmt: skip


class BodyError(HTTPException):
    """A body that is too large, or comes too slowly. Of this kind FastAPI passes it on while it reads a body."""

    @property
    def sentence(self) -> str:
        return str(self.detail)


@dataclass
class _Bucket:
    """Tokens that fill again; one is taken for each request."""

    tokens: float
    seen: float = field(default_factory=time.monotonic)

    def take(self, rate_per_s: float, most: float) -> bool:
        now = time.monotonic()
        self.tokens = min(most, self.tokens + (now - self.seen) * rate_per_s)
        self.seen = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


@dataclass(frozen=True)
class Door:
    """hosts: names under which the server may be asked, without port; "*" stands for every literal address. token:
    needed for everything, or None."""

    hosts: frozenset[str]
    token: str | None = None

    def knows(self, host: str) -> bool:
        """Whether a Host header names this server; any other comes from a name that was bent to this address."""
        name = _parts(f"//{host}")[0]
        return name in self.hosts or ("*" in self.hosts and _is_address(name))


def _parts(address: str) -> tuple[str, str]:
    """(name of the host, the same with port) of an address; empty where it is none."""
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError:
        return "", ""
    return ("", "") if "@" in parts.netloc else (parts.hostname or "", parts.netloc)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class Guard:
    """The application behind the door."""

    def __init__(self, app: App, door: Door, limits: Limits) -> None:
        self.app, self.door, self.limits = app, door, limits
        self._buckets: dict[tuple[str, bool], _Bucket] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        headers = _headers(scope)
        refused = self._refusal(scope, headers)
        if refused is not None:
            await _answer(send, *refused)
            return
        if self.door.token is not None and _given_in_address(scope, self.door.token):
            await _let_in(send, self.door.token)
            return
        await self._pass_on(scope, receive, send)

    def _refusal(self, scope: Scope, headers: dict[bytes, str]) -> tuple[int, str, int | None] | None:
        safe = scope["method"] in _SAFE
        if not self.door.knows(headers.get(b"host", "")):
            return 421, "this address is not one of this server; open the one that it printed", None
        if not self._often_enough(scope, safe):
            return 429, "too many requests in a short time; wait a moment", 2
        if not safe and (OWN_HEADER not in headers or not _own_origin(headers)):
            return 403, "this request does not come from the page of this server", None
        if headers.get(b"sec-fetch-site", "none") not in ("same-origin", "none") and scope["path"] != "/":
            return 403, "this request comes from another site", None
        if self.door.token is not None and not self._has_token(scope, headers):
            return 401, "this server needs its token; open the address that it printed when it started", None
        return None

    def _often_enough(self, scope: Scope, safe: bool) -> bool:
        limits = self.limits
        rate, most = (
            (limits.reads_per_s, limits.reads_at_once) if safe else (limits.changes_per_s, limits.changes_at_once)
        )
        address = (scope.get("client") or ("",))[0]
        if len(self._buckets) > 1000:
            self._buckets.clear()
        return self._buckets.setdefault((address, safe), _Bucket(most)).take(rate, most)

    def _has_token(self, scope: Scope, headers: dict[bytes, str]) -> bool:
        token = self.door.token or ""
        try:
            cookie = SimpleCookie(headers.get(b"cookie", "")).get(COOKIE)
        except CookieError:
            cookie = None
        given = headers.get(b"authorization", "").removeprefix("Bearer ")
        tokens = [cookie.value if cookie else "", given]
        return any(_same(one, token) for one in tokens) or _given_in_address(scope, token)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def with_headers(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                present = {name for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *((name, value) for name, value in _HEADERS if name not in present),
                ]
            await send(message)

        try:
            await self.app(scope, self._counted(scope, receive), with_headers)
        except BodyError as error:
            if not begun:
                await _answer(send, error.status_code, error.sentence, None, close=True)
        except Exception as error:
            # It would be written into the log whole, with what it holds of a file or a header.
            last = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{Path(last.filename).name}, line {last.lineno}"
            _log.error("a fault of ours: %s in %s", type(error).__name__, where)
            if not begun:
                await _answer(send, 500, f"a fault of ours: {type(error).__name__}", None, close=True)

    def _counted(self, scope: Scope, receive: Receive) -> Receive:
        """The body, as long as it stays within its size and comes without long pauses."""
        limit = self._largest_body(scope["path"])
        count, ended, began = 0, False, time.monotonic()

        async def receive_within() -> Message:
            nonlocal count, ended
            if ended:
                return await receive()
            left = self.limits.upload_s - (time.monotonic() - began)
            try:
                message = await asyncio.wait_for(receive(), max(min(self.limits.idle_s, left), 0.01))
            except TimeoutError:
                raise BodyError(408, "the upload stood still for too long and was ended") from None
            ended = not message.get("more_body", False)
            count += len(message.get("body", b""))
            if count > limit:
                raise BodyError(413, _too_large(limit))
            return message

        return receive_within

    def _largest_body(self, path: str) -> int:
        last = path.rstrip("/").rsplit("/", 1)[-1]
        known = {"films": self.limits.film_bytes, "compare": self.limits.mesh_bytes}
        return known.get(last, self.limits.json_bytes)


def _too_large(limit: int) -> str:
    size = f"{limit >> 20} MiB" if limit >= 1 << 20 else f"{limit >> 10} KiB"
    return f"this is larger than {size}, which is the most that is taken"


def _headers(scope: Scope) -> dict[bytes, str]:
    """The last of each name, and no Host where there are two of it."""
    pairs = [(name.lower(), value.decode("latin-1")) for name, value in scope["headers"]]
    found = dict(pairs)
    if sum(name == b"host" for name, _ in pairs) != 1:
        found.pop(b"host", None)
    return found


def _own_origin(headers: dict[bytes, str]) -> bool:
    origin = headers.get(b"origin")
    return origin is None or _parts(origin)[1] == headers.get(b"host")


def _same(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode(), token.encode())


def _given_in_address(scope: Scope, token: str) -> bool:
    if scope["method"] != "GET" or scope["path"] != "/":
        return False
    given = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("token", [""])
    return _same(given[0], token)


async def _let_in(send: Send, token: str) -> None:
    """The token goes from the address, which is shown and kept, into a cookie of this site alone."""
    cookie = f"{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict"
    headers = [(b"location", b"/"), (b"set-cookie", cookie.encode()), (b"content-length", b"0"), *_HEADERS]
    await send({"type": "http.response.start", "status": 303, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


async def _answer(send: Send, status: int, sentence: str, retry_s: int | None, close: bool = False) -> None:
    body = json.dumps({"message": sentence}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *_HEADERS]
    if retry_s is not None:
        headers.append((b"retry-after", str(retry_s).encode()))
    if close:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
