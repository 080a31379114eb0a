"""The child process that reads, reconstructs and compares: whatever a file does to it, the server lives.

One task as a line of JSON on standard input; lines of JSON on standard output: {"step": name} as one begins, and at the
end {"done": ...}, {"refused": sentence} or {"fault": where}. It ends with its task, when the server does, and at its
limits of memory and time.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

from bonelift.errors import InputError
from bonelift.images.reading import RadiographOptions

Tell = Callable[[dict[str, Any]], None]


def main() -> None:
    """Run the task on standard input."""
    answers = _own_output()
    task = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_the_server, daemon=True).start()
    _limit(task["memory_gib"], task["seconds"])

    def tell(message: dict[str, Any]) -> None:
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    try:
        tell({"done": TASKS[task["task"]](task, tell)})
    except InputError as error:
        tell({"refused": str(error)})
    except MemoryError:
        tell({"refused": "there is not the memory for this file; pass a smaller image"})
    except Exception as error:
        # Where it was, not what it held: values may come out of a header.
        last = traceback.extract_tb(error.__traceback__)[-1]
        tell({"fault": f"{type(error).__name__} in {Path(last.filename).name}, line {last.lineno}"})
    answers.flush()
    os._exit(0)


def _own_output() -> IO[str]:
    """Standard output for answers alone; what a library prints goes nowhere."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    return answers


def _end_with_the_server() -> None:
    """Standard input ends when the server does, however that came."""
    with contextlib.suppress(OSError, ValueError):
        while os.read(0, 4096):
            pass
    os._exit(1)


def _limit(memory_gib: float, seconds: float) -> None:
    """Hold this process to its memory and processor time."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        limit = int(memory_gib * 2**30)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
        processor = int(seconds * (os.cpu_count() or 1)) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (processor, processor))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def radiograph_options(given: dict[str, Any]) -> RadiographOptions:
    """From what the page sends."""
    known = {field.name for field in fields(RadiographOptions)}
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    return RadiographOptions(**{name: value for name, value in values.items() if name in known})


def look(task: dict[str, Any], tell: Tell) -> dict[str, Any]:
    """Read one film: its facts, and a picture of it."""
    from bonelift.reconstruction.inputs import check_one_patient
    from bonelift.serve.facts import film_facts, small_picture

    for other in task["others"]:
        check_one_patient(Path(other), Path(task["film"]))
        if Path(other).read_bytes() == Path(task["film"]).read_bytes():
            raise InputError(f"{Path(task['film']).name}: is the same file as {Path(other).name}; drop the other view")
    found = film_facts(Path(task["film"]), radiograph_options(task["options"]))
    picture = Path(task["picture"])
    small_picture(found.picture).save(picture, format="PNG", compress_level=1)
    return {
        "size_px": found.size_px,
        "facts": found.facts,
        "missing": found.missing,
        "image_from_recorded": found.image_from_recorded.tolist(),
    }


def reconstruct_films(task: dict[str, Any], tell: Tell) -> dict[str, Any]:
    """The main job, saved as ``bonelift reconstruct`` does, with what the page shows beside it."""
    from bonelift.reconstruction.inputs import ImageInput, read_radiographs
    from bonelift.reconstruction.stopwatch import Stopwatch
    from bonelift.storage.output_folder import output_folder

    clock = Stopwatch(lambda name: tell({"step": name}))
    with clock.step("read"):
        inputs = [ImageInput(Path(f["film"]), radiograph_options(f["options"])) for f in task["films"]]
        radiographs = read_radiographs(inputs)
    with clock.step("load model"):
        from bonelift.networks.model import load_model
        from bonelift.reconstruction.job import reconstruct
        from bonelift.reconstruction.save import save
        from bonelift.report.content import ReportExtras
        from bonelift.serve.view import VIEW_NAME, page_view

        model = load_model(Path(task["model"]) if task["model"] else None, "cpu")
    result = reconstruct(radiographs, model, clock=clock)
    tell({"step": "save"})
    with output_folder(task["out"]) as folder:
        save(result, folder, extras=ReportExtras(pdf=find_spec("reportlab") is not None))
        page = folder / "page"
        page.mkdir()
        view = page_view(result, model, page)
        (page / VIEW_NAME).write_text(json.dumps(view, allow_nan=False), encoding="utf-8")
    return {"quality": result.quality.score}


def compare(task: dict[str, Any], tell: Tell) -> dict[str, Any]:
    """A bone of the result beside a model that was uploaded, after rigid alignment of the bone on it."""
    from dataclasses import asdict

    from bonelift.anatomy.side import mirror_mesh
    from bonelift.serve.view import as_base64, mesh_of_view
    from bonelift.surface.comparison import compare_surfaces
    from bonelift.surface.distance import distance_to_surface
    from bonelift.surface.files import read_mesh

    model = read_mesh(Path(task["model"]))
    if task["mirror"]:
        model = mirror_mesh(model)
    bone = mesh_of_view(Path(task["view"]), task["bone"])
    found = compare_surfaces(bone, model, "rigid", (f"the {task['bone']}", Path(task["model"]).name))
    distances = distance_to_surface(found.first.vertices, model)
    return {"distances": asdict(found.distances), "vertex_mm": as_base64(distances, "<f4")}


TASKS: dict[str, Callable[[dict[str, Any], Tell], dict[str, Any]]] = {
    "look": look,
    "reconstruct": reconstruct_films,
    "compare": compare,
}


if __name__ == "__main__":
    main()
