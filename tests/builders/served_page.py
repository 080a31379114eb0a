"""The application of ``bonelift serve`` for tests, with children that answer at once where a test is not about them."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx

from bonelift.errors import InputError
from bonelift.serve.children import Task
from bonelift.serve.desk import Desk
from bonelift.serve.guard import Door
from bonelift.serve.limits import Limits
from bonelift.serve.places import places
from bonelift.serve.server import LOCAL_NAMES, listen, make_server

OWN = {"X-Bonelift": "1"}


class Client(httpx.Client):
    """A client of a server of its own. desk: of that server."""

    def __init__(self, desk: Desk, port: int) -> None:
        super().__init__(base_url=f"http://127.0.0.1:{port}", headers=OWN, timeout=60, trust_env=False)
        self.desk = desk


@contextmanager
def client(
    limits: Limits | None = None, token: str | None = None, keep: Path | None = None, model: Path | None = None
) -> Iterator[Client]:
    """The server runs in a thread, on a free port."""
    with places(keep) as where, closing(listen("127.0.0.1", 0)) as listening:
        desk = Desk(where, limits or Limits(), model)
        listens = threading.Event()
        server = make_server(desk, Door(LOCAL_NAMES, token), listens.set)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            assert listens.wait(30)
            with Client(desk, listening.getsockname()[1]) as made:
                yield made
        finally:
            server.should_exit = True
            thread.join()


class Children:
    """In the place of ``children.run_task``: looks answer at once, a film of b"bad" is refused, and jobs wait for
    ``release`` and then write the least result that the desk takes for one."""

    def __init__(self) -> None:
        self.missing: list[str] = []
        self.fails: Exception | None = None
        self.running = 0
        self.cancelled = 0
        self.tasks: list[Task] = []
        self._released = False

    def release(self) -> None:
        self._released = True

    async def __call__(self, task: Task, on_step: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
        self.tasks.append(task)
        if task.name == "look":
            if Path(task.content["film"]).read_bytes() == b"bad":
                raise InputError("film 1: is a PDF document; expected DICOM, PNG, JPEG or TIFF")
            Path(task.content["picture"]).write_bytes(b"\x89PNG")
            return {"size_px": [8, 8], "facts": {}, "missing": self.missing, "image_from_recorded": []}
        self.running += 1
        try:
            on_step("locate")
            while not self._released:
                await asyncio.sleep(0.005)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1
        if self.fails is not None:
            raise self.fails
        page = Path(task.content["out"]) / "page"
        page.mkdir(parents=True, exist_ok=True)
        (page / "view.json").write_text(json.dumps({"side": "right"}))
        (page.parent / "radius.stl").write_bytes(b"solid radius")
        return {"quality": 0.5}


def new_wrist(to: Client) -> str:
    """Path of a new wrist with one film."""
    path = f"/api/wrists/{to.post('/api/wrists').json()['name']}"
    assert to.post(f"{path}/films", content=b"film").status_code == 201
    return path
