"""The routes of the page: each parses a request, calls the desk and answers. What is refused says one sentence."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from bonelift import RESEARCH_NOTICE, __version__
from bonelift.errors import InputError
from bonelift.serve.desk import Desk, RefusedError, Wrist
from bonelift.serve.guard import BodyError, Door, Guard
from bonelift.serve.sentences import for_the_page

_STATIC = Path(__file__).resolve().parent / "static"
_OF_REPORTS = Path(__file__).resolve().parent.parent / "report" / "templates"
_SHARED_FILES = {"page.css": "text/css", "bone_shaders.js": "text/javascript"}
"""What the page has in common with the reports, from their folder."""
_PAGE_FILES = {"app.js": "text/javascript", "film.js": "text/javascript", "bones.js": "text/javascript",
               "app.css": "text/css", "icon.svg": "image/svg+xml"}  # fmt: skip
Point = Annotated[float, Field(ge=-1e6, le=1e6)]


class FilmOptions(BaseModel):
    """What a person says of a film; the fields of ``RadiographOptions`` that the page has."""

    model_config = ConfigDict(extra="forbid", strict=True)

    side: Literal["left", "right"] | None = None
    view: Literal["pa", "lateral"] | None = None
    pixel_spacing_mm: float | None = None
    sdd_mm: float | None = None
    source_to_object_mm: float | None = None
    hanging: Literal["as recorded", "mirrored"] | None = None
    invert: Literal["auto", "yes", "no"] = "auto"
    frame: Annotated[int, Field(ge=1, le=100_000)] | None = None
    roi: list[int] | None = Field(default=None, min_length=4, max_length=4)
    landmarks: list[Point] | None = Field(default=None, min_length=4, max_length=4)
    overrule_header: bool = False

    def given(self) -> dict[str, Any]:
        """JSON-able, what is set alone. Raises InputError where a number is none."""
        values = self.model_dump(exclude_defaults=True)
        for name, value in values.items():
            if isinstance(value, float) and not math.isfinite(value):
                raise InputError(f"{name} is no number")
        return values


async def _film_options(request: Request) -> FilmOptions:
    try:
        return FilmOptions.model_validate_json(await request.body())
    except ValidationError as error:
        raise RefusedError(422, _first_problem(error.errors(include_url=False)[0])) from error


def build_app(desk: Desk, door: Door) -> Guard:
    """The application with its guard."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await desk.close()

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    app.state.desk = desk
    _add_errors(app)
    _add_page(app)
    _add_wrists(app)
    _add_films(app)
    _add_results(app)
    return Guard(app, door, desk.limits)


def _desk(request: Request) -> Desk:
    return request.app.state.desk


def _wrist(request: Request, name: str) -> Wrist:
    return _desk(request).wrist(name)


OnDesk = Annotated[Desk, Depends(_desk)]
OneWrist = Annotated[Wrist, Depends(_wrist)]
Said = Annotated[FilmOptions, Depends(_film_options)]


def _sentence(status: int, sentence: str, retry_s: int | None = None) -> JSONResponse:
    headers = {} if retry_s is None else {"Retry-After": str(retry_s)}
    return JSONResponse({"message": sentence}, status, headers)


def _add_errors(app: FastAPI) -> None:
    """Every refusal is one sentence in JSON; a fault of ours says its kind and nothing of what was sent."""

    def on(kind: type[Exception], answer: Callable[[Any], JSONResponse]) -> None:
        async def handle(_: Request, error: Exception) -> JSONResponse:
            return answer(error)

        app.add_exception_handler(kind, handle)

    on(InputError, lambda error: _sentence(422, for_the_page(str(error))))
    on(RefusedError, lambda error: _sentence(error.status, error.sentence, error.retry_s))
    on(BodyError, lambda error: _sentence(error.status_code, error.sentence))
    on(RequestValidationError, lambda error: _sentence(422, _first_problem(error.errors()[0])))
    on(HTTPException, lambda error: _sentence(error.status_code, _NOT_HERE))
    on(ClientDisconnect, lambda _: _sentence(400, "the upload ended before it was whole"))
    on(OSError, lambda error: _sentence(507, f"the disk of this machine takes no more ({error.strerror})"))
    on(Exception, lambda error: _sentence(500, f"a fault of ours: {type(error).__name__}"))


_NOT_HERE = "there is nothing here under this address, or not for a request of this kind"


def _first_problem(first: Any) -> str:
    where = ".".join(str(part) for part in first["loc"] if part != "body")[:60]
    return f"{where or 'the request'}: {first['msg'][:120]}"


def _add_page(app: FastAPI) -> None:
    @app.get("/")
    async def page() -> FileResponse:
        return FileResponse(_STATIC / "index.html", media_type="text/html; charset=utf-8")

    @app.get("/static/{name}")
    async def page_file(name: str) -> FileResponse:
        if name in _SHARED_FILES:
            return FileResponse(_OF_REPORTS / name, media_type=_SHARED_FILES[name])
        if name not in _PAGE_FILES:
            raise HTTPException(404)
        return FileResponse(_STATIC / name, media_type=_PAGE_FILES[name])


def _add_wrists(app: FastAPI) -> None:
    @app.get("/api/desk")
    async def on_desk(desk: OnDesk) -> dict[str, Any]:
        """What the page needs to begin, and the wrists that lie here."""
        return {
            "version": __version__,
            "notice": RESEARCH_NOTICE,
            "kept": desk.places.kept,
            "film_mib": desk.limits.film_bytes >> 20,
            "mesh_mib": desk.limits.mesh_bytes >> 20,
            "wrists": [{"name": w.name, "state": w.state, "films": len(w.films)} for w in desk.wrists.values()],
        }

    @app.post("/api/wrists", status_code=201)
    async def new_wrist(desk: OnDesk) -> dict[str, Any]:
        return desk.as_json(desk.new_wrist())

    @app.get("/api/wrists/{name}")
    async def one_wrist(desk: OnDesk, wrist: OneWrist) -> dict[str, Any]:
        return desk.as_json(wrist)

    @app.delete("/api/wrists/{name}")
    async def delete(desk: OnDesk, wrist: OneWrist) -> dict[str, str]:
        await desk.delete(wrist)
        return {"message": "the films and the result of this wrist are deleted"}

    @app.post("/api/wrists/{name}/run", status_code=202)
    async def run(desk: OnDesk, wrist: OneWrist) -> dict[str, Any]:
        desk.start(wrist)
        return desk.as_json(wrist)

    @app.post("/api/wrists/{name}/cancel")
    async def cancel(desk: OnDesk, wrist: OneWrist) -> dict[str, Any]:
        await desk.cancel(wrist)
        return desk.as_json(wrist)


def _add_films(app: FastAPI) -> None:
    @app.post("/api/wrists/{name}/films", status_code=201)
    async def add_film(desk: OnDesk, wrist: OneWrist, request: Request) -> dict[str, Any]:
        """The body is the file itself: its name is never sent."""
        path = desk.upload_path(wrist)
        await receive_file(request, path)
        await desk.add_film(wrist, path, {})
        return desk.as_json(wrist)

    @app.put("/api/wrists/{name}/films/{number}")
    async def correct(desk: OnDesk, wrist: OneWrist, number: int, options: Said) -> dict[str, Any]:
        await desk.correct(wrist, number, options.given())
        return desk.as_json(wrist)

    @app.delete("/api/wrists/{name}/films/{number}")
    async def remove(desk: OnDesk, wrist: OneWrist, number: int) -> dict[str, Any]:
        await desk.remove_film(wrist, number)
        return desk.as_json(wrist)

    @app.get("/api/wrists/{name}/films/{number}/picture")
    async def picture(desk: OnDesk, wrist: OneWrist, number: int) -> Response:
        return FileResponse(desk.film(wrist, number).picture, media_type="image/png")


async def receive_file(request: Request, path: Path) -> None:
    """Write the body of a request to ``path``, which is removed again where the body does not come whole."""
    try:
        with path.open("wb") as file:
            async for chunk in request.stream():
                file.write(chunk)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _add_results(app: FastAPI) -> None:
    @app.get("/api/wrists/{name}/view")
    async def view(desk: OnDesk, wrist: OneWrist) -> dict[str, Any]:
        return desk.view(wrist)

    @app.get("/api/wrists/{name}/page/{file}")
    async def page_picture(desk: OnDesk, wrist: OneWrist, file: Literal["film-1.png", "film-2.png"]) -> Response:
        return _result_file(desk.result_folder(wrist) / "page" / file, "image/png")

    @app.post("/api/wrists/{name}/compare")
    async def compare(
        desk: OnDesk,
        wrist: OneWrist,
        request: Request,
        bone: Literal["radius", "ulna"],
        kind: Literal["stl", "ply", "obj", "glb"],
        mirror: bool = False,
    ) -> dict[str, Any]:
        """The body is the model itself; it is deleted when the answer is sent."""
        path = desk.model_path(wrist, kind)
        try:
            await receive_file(request, path)
            return await desk.compare(wrist, path, bone, mirror)
        finally:
            shutil.rmtree(path.parent, ignore_errors=True)

    @app.get("/api/wrists/{name}/result.zip")
    async def everything(desk: OnDesk, wrist: OneWrist) -> Response:
        """Every file of the result; not the films themselves."""
        folder = desk.result_folder(wrist)
        desk.view(wrist)
        return StreamingResponse(
            _zipped(folder),
            media_type="application/zip",
            headers={"Content-Disposition": 'attachment; filename="bonelift-wrist.zip"'},
        )


def _result_file(path: Path, media_type: str) -> Response:
    if not path.is_file():
        raise RefusedError(404, "there is no such file of this result")
    return FileResponse(path, media_type=media_type)


async def _zipped(folder: Path) -> AsyncIterator[bytes]:
    """A zip archive of the files in a result folder, made beside the event loop and sent in pieces."""
    import asyncio
    import zipfile

    def write(archive: Any) -> None:
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=3) as opened:
            for path in sorted(folder.iterdir()):
                if path.is_file():
                    opened.write(path, f"bonelift-wrist/{path.name}")
        archive.seek(0)

    with tempfile.TemporaryFile() as archive:
        await asyncio.to_thread(write, archive)
        while chunk := await asyncio.to_thread(archive.read, 1 << 18):
            yield chunk
