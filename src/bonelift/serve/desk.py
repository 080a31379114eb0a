"""The wrists on the desk and the one queue before the reconstruction."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import secrets
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from bonelift.errors import InputError
from bonelift.serve.children import Task, WorkerError, run_task
from bonelift.serve.limits import Limits
from bonelift.serve.places import Places
from bonelift.serve.sentences import for_the_page
from bonelift.storage.whole import remove_leftovers

State = Literal["open", "waiting", "running", "done", "failed", "cancelled"]
MOST_FILMS = 2
STEP_NAMES = ("read", "load model", "locate", "scale", "cut", "translate", "predict", "stand", "reconsider", "fit",
              "place", "measure", "judge", "suggest", "save")  # fmt: skip
_ID = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{12}")


class RefusedError(Exception):
    """A request that is not served. status: of HTTP. sentence: for the page. retry_s: when to come again."""

    def __init__(self, status: int, sentence: str, retry_s: int | None = None) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.retry_s = status, sentence, retry_s


@dataclass(eq=False)
class Film:
    """number: from 1, within its wrist. options: as the page gave them. look: what ``worker.look`` answered."""

    number: int
    path: Path
    picture: Path
    options: dict[str, Any]
    look: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        return {"number": self.number, "options": self.options, **self.look}


@dataclass(eq=False)
class Wrist:
    """One wrist on the desk, and how far it is. ran: options of its films when the last result was begun."""

    name: str
    films: list[Film] = field(default_factory=list)
    next_number: int = 1
    state: State = "open"
    step: str = ""
    message: str = ""
    began: float = 0.0
    seconds: float = 0.0
    job: asyncio.Task[None] | None = None
    busy: bool = False
    ran: list[dict[str, Any]] | None = None
    made: float = field(default_factory=time.monotonic)

    @property
    def at_work(self) -> bool:
        return self.state in ("waiting", "running")


class Desk:
    """places, limits: of this server. model: folder of a trained model; None for the packaged one."""

    def __init__(self, places: Places, limits: Limits, model: Path | None = None) -> None:
        self.places, self.limits, self.model = places, limits, model
        self.wrists: dict[str, Wrist] = {}
        self._turn = asyncio.Lock()
        self._looking = asyncio.Semaphore(limits.reading)
        self._lookers = 0
        self._read_kept()

    def _read_kept(self) -> None:
        """Finished results of an earlier server; what was half written when it was killed goes."""
        if self.places.results.is_dir():
            for hidden in list(self.places.results.glob(".*")):
                cut_short = _ID.match(hidden.name.removeprefix("."))
                if cut_short is not None:
                    remove_leftovers(self.places.results / cut_short[0])
            for folder in sorted(self.places.results.iterdir()):
                if _ID.fullmatch(folder.name) and (folder / "page" / "view.json").is_file():
                    self.wrists[folder.name] = Wrist(folder.name, state="done")

    def wrist(self, name: str) -> Wrist:
        if name not in self.wrists:
            raise RefusedError(404, "this wrist is not here: it was deleted, or the server was started anew")
        return self.wrists[name]

    def new_wrist(self) -> Wrist:
        old = time.monotonic() - self.limits.upload_s
        for wrist in list(self.wrists.values()):
            if wrist.state == "open" and not wrist.films and not wrist.busy and wrist.made < old:
                del self.wrists[wrist.name]  # nothing was ever put there
                shutil.rmtree(self._folder(wrist), ignore_errors=True)
        count = sum(wrist.state != "done" or not self.places.kept for wrist in self.wrists.values())
        if count >= self.limits.wrists:
            raise RefusedError(409, f"{count} wrists are on the desk, which is all it holds; delete one first")
        wrist = Wrist(f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(6)}")
        self._folder(wrist).mkdir(mode=0o700)
        self.wrists[wrist.name] = wrist
        return wrist

    def result_folder(self, wrist: Wrist) -> Path:
        return self.places.results / wrist.name

    def _folder(self, wrist: Wrist) -> Path:
        return self.places.uploads / wrist.name

    @asynccontextmanager
    async def _held(self, wrist: Wrist) -> AsyncIterator[None]:
        """While a film of the wrist is read: nothing else is done with it."""
        if wrist.at_work or wrist.busy:
            raise RefusedError(409, "this wrist is being worked on; wait until it is done, or cancel it")
        wrist.busy = True
        try:
            yield
        finally:
            wrist.busy = False

    def upload_path(self, wrist: Wrist) -> Path:
        """Where the next film of the wrist may be written. Raises RefusedError."""
        if len(wrist.films) >= MOST_FILMS:
            raise RefusedError(409, "two films of one wrist are the most that are used; take one away first")
        folder = self._folder(wrist)
        folder.mkdir(mode=0o700, exist_ok=True)
        wrist.next_number += 1
        return folder / f"film {wrist.next_number - 1}"

    async def add_film(self, wrist: Wrist, path: Path, options: dict[str, Any]) -> Film:
        """Read a film that was uploaded to ``path``. Raises RefusedError, and InputError for what is no film."""
        try:
            async with self._held(wrist):
                number = int(path.name.split()[-1])
                film = Film(number, path, path.with_name(f"picture-{number}.png"), options, {})
                film.look = await self._look(wrist, film, options)
                wrist.films.append(film)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        wrist.state, wrist.message = "open", ""
        return film

    async def correct(self, wrist: Wrist, number: int, options: dict[str, Any]) -> Film:
        """Read a film again with other options; where that is refused, all stays as it was."""
        film = self.film(wrist, number)
        async with self._held(wrist):
            film.look = await self._look(wrist, film, options)
            film.options = options
        if wrist.state in ("failed", "cancelled"):
            wrist.state, wrist.message = "open", ""
        return film

    def film(self, wrist: Wrist, number: int) -> Film:
        for film in wrist.films:
            if film.number == number:
                return film
        raise RefusedError(404, f"there is no film {number} of this wrist; it was taken away or deleted")

    async def remove_film(self, wrist: Wrist, number: int) -> None:
        film = self.film(wrist, number)
        async with self._held(wrist):
            wrist.films.remove(film)
            film.path.unlink(missing_ok=True)
            film.picture.unlink(missing_ok=True)

    async def _look(self, wrist: Wrist, film: Film, options: dict[str, Any]) -> dict[str, Any]:
        others = [str(other.path) for other in wrist.films if other is not film]
        content = {"film": str(film.path), "picture": str(film.picture), "options": options, "others": others}
        return await self.aside("look", content)

    async def aside(self, name: str, content: dict[str, Any]) -> dict[str, Any]:
        """A short task beside the queue. Raises RefusedError where too many wait, or it fails; InputError."""
        if self._lookers >= 2 * self.limits.reading:
            raise RefusedError(503, "several files are being read already; try again in a moment", retry_s=2)
        self._lookers += 1
        try:
            async with self._looking:
                return await run_task(Task(name, content, self.limits.look_s, self.limits.memory_gib))
        except WorkerError as fault:
            raise RefusedError(500, f"this could not be read: {fault}") from fault
        finally:
            self._lookers -= 1

    def model_path(self, wrist: Wrist, kind: str) -> Path:
        """Where a model to compare with may be written."""
        folder = self._folder(wrist) / secrets.token_hex(6)
        folder.mkdir(mode=0o700, parents=True)
        return folder / f"model.{kind}"

    async def compare(self, wrist: Wrist, model: Path, bone: str, mirror: bool) -> dict[str, Any]:
        """See ``worker.compare``. Raises RefusedError, and InputError."""
        self.view(wrist)
        view = self.result_folder(wrist) / "page" / "view.json"
        return await self.aside("compare", {"view": str(view), "model": str(model), "bone": bone, "mirror": mirror})

    def start(self, wrist: Wrist) -> None:
        """Put the wrist into the queue. RefusedError where it is full, InputError where facts are missing."""
        if wrist.at_work or wrist.busy:
            raise RefusedError(409, "this wrist is being worked on already")
        if not wrist.films:
            raise InputError("there is no film of this wrist; drop one first")
        lacking = sorted({fact for film in wrist.films for fact in film.look["missing"]})
        if lacking:
            words = {"side": "the side", "view": "the view", "pixel_spacing": "the pixel spacing"}
            raise InputError(f"say first what the films do not: {', '.join(words[fact] for fact in lacking)}")
        if sum(other.state == "waiting" for other in self.wrists.values()) >= self.limits.queued:
            raise RefusedError(
                503, f"the queue is full: {self.limits.queued} wrists wait already; try again in a minute", retry_s=30
            )
        wrist.state, wrist.step, wrist.message = "waiting", "", ""
        wrist.job = asyncio.create_task(self._run(wrist))

    async def _run(self, wrist: Wrist) -> None:
        content = {
            "films": [{"film": str(film.path), "options": film.options} for film in wrist.films],
            "model": str(self.model) if self.model else None,
            "said": [film.options for film in wrist.films],
            "out": str(self.result_folder(wrist)),
        }

        def on_step(name: str) -> None:
            wrist.step = name

        try:
            async with self._turn:
                wrist.state, wrist.began = "running", time.monotonic()
                self.places.results.mkdir(parents=True, exist_ok=True)
                await run_task(Task("reconstruct", content, self.limits.job_s, self.limits.memory_gib), on_step)
            wrist.state, wrist.ran = "done", content["said"]
        except InputError as error:
            wrist.state, wrist.message = "failed", for_the_page(str(error))
        except WorkerError as fault:
            wrist.state, wrist.message = "failed", f"the reconstruction ended early: {fault}"
        except asyncio.CancelledError:
            wrist.state, wrist.message = "cancelled", "cancelled; nothing was kept of this run"
        finally:
            wrist.seconds = time.monotonic() - wrist.began if wrist.began else 0.0
            wrist.job = None

    async def cancel(self, wrist: Wrist) -> None:
        """End the wrist's job, if there is one, and wait until it has ended."""
        job = wrist.job
        if job is not None:
            job.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await job

    async def delete(self, wrist: Wrist) -> None:
        """Forget the wrist: its films, and its result."""
        await self.cancel(wrist)
        self.wrists.pop(wrist.name, None)
        for folder in (self._folder(wrist), self.result_folder(wrist)):
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    async def close(self) -> None:
        """End every job."""
        for wrist in list(self.wrists.values()):
            await self.cancel(wrist)

    def as_json(self, wrist: Wrist) -> dict[str, Any]:
        """How the wrist stands, for the page."""
        waiting = [other for other in self.wrists.values() if other.state == "waiting"]
        running = wrist.state == "running"
        return {
            "name": wrist.name,
            "films": [film.as_json() for film in wrist.films],
            "state": wrist.state,
            "step": wrist.step,
            "steps_done": STEP_NAMES.index(wrist.step) if wrist.step in STEP_NAMES else 0,
            "steps": len(STEP_NAMES),
            "before": waiting.index(wrist) + 1 if wrist.state == "waiting" else 0,
            "seconds": time.monotonic() - wrist.began if running else wrist.seconds,
            "message": wrist.message,
            "stale": wrist.ran is not None and wrist.ran != [film.options for film in wrist.films],
            "has_result": (self.result_folder(wrist) / "page" / "view.json").is_file(),
        }

    def view(self, wrist: Wrist) -> dict[str, Any]:
        """What the page shows of the result. Raises RefusedError where there is none."""
        path = self.result_folder(wrist) / "page" / "view.json"
        try:
            return json.loads(path.read_bytes())
        except (OSError, ValueError):
            raise RefusedError(404, "there is no result of this wrist yet") from None
