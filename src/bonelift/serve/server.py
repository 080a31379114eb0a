"""Listening: on this machine alone unless told otherwise, and ending so that nothing is left behind."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import secrets
import socket
from collections.abc import Callable
from pathlib import Path

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from bonelift.errors import InputError
from bonelift.serve.app import build_app
from bonelift.serve.desk import Desk
from bonelift.serve.guard import Door
from bonelift.serve.limits import Limits
from bonelift.serve.places import places

LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


def is_local(host: str) -> bool:
    """Whether only this machine can reach what listens on ``host``."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def door_for(host: str, token: str | None, names: tuple[str, ...] = ()) -> Door:
    """Who may come in. Beyond this machine nobody without a token: one is made where none is given.

    names: further names under which the server is asked, such as that of a proxy.
    """
    if token is not None and not (
        8 <= len(token) <= 200 and token.isascii() and token.replace("-", "").replace("_", "").isalnum()
    ):
        raise InputError("--token: expected 8 to 200 letters, digits, - or _")
    if is_local(host):
        return Door(LOCAL_NAMES | {host, *names}, token)
    every = {"*"} if host in ("0.0.0.0", "::") else set()
    return Door(LOCAL_NAMES | {host, *names} | every, token or secrets.token_urlsafe(24))


def serve(
    host: str,
    port: int,
    door: Door,
    keep: Path | None,
    model: Path | None,
    limits: Limits,
    ready: Callable[[str], None],
) -> None:
    """Serve until interrupted. ready: called with the address once the port listens.

    Raises InputError where the port is taken or ``host`` is none of this machine.
    """
    listening = listen(host, port)
    port = listening.getsockname()[1]
    shown = f"[{host}]" if ":" in host else host
    address = f"http://{'127.0.0.1' if host == '0.0.0.0' else shown}:{port}/"
    if door.token is not None:
        address += f"?token={door.token}"
    logging.getLogger("bonelift.serve").addHandler(logging.StreamHandler())
    with places(keep) as where, contextlib.closing(listening):
        server = make_server(Desk(where, limits, model), door, lambda: ready(address))
        with contextlib.suppress(KeyboardInterrupt):
            server.run(sockets=[listening])


def make_server(desk: Desk, door: Door, ready: Callable[[], None] = lambda: None) -> uvicorn.Server:
    """The HTTP server before the desk; ``ready`` is called once it listens."""
    limits = desk.limits

    class Patient(_Patient):
        head_s = limits.head_s

    config = uvicorn.Config(
        build_app(desk, door),
        http=Patient,
        ws="none",
        log_config=None,
        access_log=False,
        log_level="error",
        server_header=False,
        date_header=False,
        limit_concurrency=limits.connections,
        timeout_keep_alive=10,
        timeout_graceful_shutdown=3,
        h11_max_incomplete_event_size=16 << 10,
    )
    return _Server(config, ready)


def listen(host: str, port: int) -> socket.socket:
    """A socket that is bound. Raises InputError where the port is taken or ``host`` is none of this machine."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except (OSError, OverflowError) as error:
        listening.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"--host {host} --port {port}: cannot listen there ({reason}); pass another port") from error
    return listening


class _Server(uvicorn.Server):
    """Tells when it listens."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()


class _Patient(H11Protocol):
    """Ends a connection whose request does not come whole in ``head_s``: a slow client holds no place for ever."""

    head_s = 15.0

    def connection_made(self, transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._head = self.loop.call_later(self.head_s, self._give_up)

    def _give_up(self) -> None:
        if self.cycle is None:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head.cancel()
        super().connection_lost(exc)
