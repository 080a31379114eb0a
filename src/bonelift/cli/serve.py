"""``bonelift serve``: the page to work in, on this machine."""

from __future__ import annotations

import webbrowser
from argparse import ArgumentParser, Namespace
from pathlib import Path

from bonelift.cli.arguments import positive_float, whole_number
from bonelift.cli.console import console_for
from bonelift.cli.warm_up import kernels_compiling_beside
from bonelift.errors import InputError
from bonelift.extras import missing

EPILOG = """\
A page to drop one or two films of a wrist on, correct what is known of them, reconstruct, and look. Nothing leaves the
machine: films are deleted on request and when the server ends; results too, unless --keep is given.

  bonelift serve --open
  bonelift serve --port 8750 --keep results/"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--port",
        metavar="N",
        type=whole_number,
        default=8750,
        help="port to listen on; 0 takes a free one (default: 8750)",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine alone)")
    parser.add_argument(
        "--allow-host",
        metavar="NAME",
        action="append",
        default=[],
        help="another name under which browsers may reach the server",
    )
    parser.add_argument(
        "--token", help="password of the page; when --host opens it to other machines and none is given, one is made"
    )
    parser.add_argument("--open", action="store_true", help="open the page in the browser")
    parser.add_argument("--keep", metavar="DIR", type=Path, help="keep finished results here (films are never kept)")
    parser.add_argument(
        "--model", metavar="DIR", type=Path, help="folder of a trained model (default: the packaged one)"
    )
    parser.add_argument(
        "--memory-gib", metavar="GIB", type=positive_float, help="most memory that a job may take (default: 6)"
    )
    parser.add_argument(
        "--job-seconds", metavar="S", type=positive_float, help="a job is stopped after this time (default: 600)"
    )


def run(options: Namespace) -> int:
    try:
        from bonelift.serve.server import door_for, serve
    except ModuleNotFoundError as error:
        if error.name not in ("fastapi", "uvicorn", "starlette", "pydantic"):
            raise
        raise missing("fastapi", "bonelift serve") from error
    from bonelift.serve.limits import Limits

    given = {"memory_gib": options.memory_gib, "job_s": options.job_seconds}
    limits = Limits(**{name: value for name, value in given.items() if value is not None})
    if options.model is not None and not options.model.is_dir():
        raise InputError(f"--model {options.model}: is no folder; expected a trained model")
    console = console_for(options)

    def ready(address: str) -> None:
        console.result({"address": address}, f"bonelift serve: open {address}\nCtrl-C ends it.")
        if options.open:
            webbrowser.open(address)

    door = door_for(options.host, options.token, tuple(options.allow_host))
    with kernels_compiling_beside():  # or the first job would have seconds of it
        serve(options.host, options.port, door, options.keep, options.model, limits, ready)
    return 0
