"""``bonelift COMMAND ...``: finds the command, runs it, turns what happens into an exit status.

0 done; 2 the input or the call is wrong (one line on standard error, nothing left behind); 1 a fault of ours;
3 ``--strict`` and the result is flagged; 130 interrupted.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import traceback
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence
from typing import Any, TextIO

from bonelift import RESEARCH_NOTICE, __version__, progress
from bonelift.cli.arguments import OneLineParser, add_common_options
from bonelift.cli.console import OutputError, console_for, show_what_it_cannot_encode
from bonelift.errors import InputError
from bonelift.extras import is_optional, missing

DONE, FAULT, WRONG_INPUT, FLAGGED, INTERRUPTED = 0, 1, 2, 3, 130

COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("bonelift.cli.demo", "reconstruct the packaged radiograph and compare it with its truth"),
    "reconstruct": ("bonelift.cli.reconstruct", "one or two wrist radiographs in, radius and ulna in 3D out"),
    "serve": ("bonelift.cli.serve", "a page on this machine: drop films, correct, reconstruct, look"),
    "compare": ("bonelift.cli.compare", "distances between two bone surfaces"),
    "simulate": ("bonelift.cli.simulate", "make a study folder of virtual patients"),
    "drr": ("bonelift.cli.drr", "line-integral images of a CT, or of every CT of a study"),
    "import": ("bonelift.cli.import_", "bring a lab's CTs, labels, landmarks and radiographs into a study folder"),
    "check": ("bonelift.cli.check", "look over every case of a study folder"),
    "normalize": ("bonelift.cli.normalize", "bring the cases of a study into the radius frame, with overlays"),
    "register": ("bonelift.cli.register", "register CT bones to radiographs, on a study, a case or loose files"),
    "train": ("bonelift.cli.train", "train the networks on a study folder; resumable"),
    "evaluate": ("bonelift.cli.evaluate", "experiments 1 to 3 on a study folder; resumable"),
    "doctor": ("bonelift.cli.doctor", "what is installed, what works here, and how to get what is missing"),
    "completion": ("bonelift.cli.completion", "what a shell needs to complete commands and options"),
    "bench": ("bonelift.cli.bench", "speed and accuracy beside other engines that are installed"),
}
"""Name -> (module, summary). A module is imported when its command is called, so that --help answers at once."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; ``arguments`` defaults to those of the process. Returns the exit status."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if "_ARGCOMPLETE" in os.environ:  # a shell asks what could stand at its cursor
        _complete()
    # A stream that is closed (2>&-) is no reason not to work.
    sys.stdout, sys.stderr = (stream or _nowhere() for stream in (sys.stdout, sys.stderr))
    for stream in (sys.stdout, sys.stderr):
        show_what_it_cannot_encode(stream)
    try:
        return _run(arguments)
    except InputError as error:
        if isinstance(error, OutputError):
            _discard_output()
        print(f"bonelift: {_one_line(error)}", file=sys.stderr)
        return WRONG_INPUT
    except BrokenPipeError:  # the reader of a pipe, such as head, has seen enough
        _discard_output()
        return DONE
    except KeyboardInterrupt:
        print("bonelift: interrupted; a run that was under way resumes with the same command", file=sys.stderr)
        return INTERRUPTED
    except SystemExit as request:  # argparse ends --help and wrong calls this way
        return request.code if isinstance(request.code, int) else DONE
    except FileNotFoundError as error:
        if _has_working_folder():
            return _fault(error, arguments)
        print("bonelift: the working folder was removed; change into one that is there", file=sys.stderr)
        return WRONG_INPUT
    except ModuleNotFoundError as error:
        module = (error.name or "").split(".")[0]
        if not is_optional(module):
            return _fault(error, arguments)
        print(f"bonelift: {missing(module, _command_of(arguments))}", file=sys.stderr)
        return WRONG_INPUT
    except MemoryError as error:
        if "--traceback" in arguments:
            traceback.print_exception(error)
        print("bonelift: there is not the memory for this; free some, or pass smaller images", file=sys.stderr)
        return WRONG_INPUT
    except Exception as error:
        return _fault(error, arguments)


def _has_working_folder() -> bool:
    try:
        os.getcwd()
    except FileNotFoundError:
        return False
    return True


def _command_of(arguments: list[str]) -> str:
    return f"bonelift {arguments[0]}" if arguments and arguments[0] in COMMANDS else "this"


def _complete() -> None:
    """Answer the shell; the process ends there."""
    completion = importlib.import_module("bonelift.cli.completion")

    def fill(name: str, parser: ArgumentParser) -> None:
        importlib.import_module(COMMANDS[name][0]).add_arguments(parser)
        add_common_options(parser)

    completion.answer({name: summary for name, (_, summary) in COMMANDS.items()}, fill)


def _nowhere() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")


def _discard_output() -> None:
    """What is still to be printed goes nowhere, so that the end of the program does not fail on it again."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fault(error: Exception, arguments: Sequence[str]) -> int:
    if "--traceback" in arguments:
        traceback.print_exc()
    print(
        f"bonelift: a fault of ours: {type(error).__name__}: {_one_line(error)}; --traceback shows where",
        file=sys.stderr,
    )
    return FAULT


def _run(arguments: list[str]) -> int:
    if not arguments or arguments[0].startswith("-") or arguments[0] not in COMMANDS:
        return _without_command(arguments)
    name, *rest = arguments
    parser, command = command_parser(name)
    options = parser.parse_args(rest)
    with progress.shown_by(console_for(options).progress):
        return command.run(options)


def command_parser(name: str) -> tuple[ArgumentParser, Any]:
    """The parser of a command, and the module that runs it."""
    module_name, summary = COMMANDS[name]
    command = importlib.import_module(module_name)
    parser = OneLineParser(
        prog=f"bonelift {name}",
        usage=getattr(command, "USAGE", None),
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=getattr(command, "EPILOG", None),
        formatter_class=_wide,
        allow_abbrev=False,
    )
    command.add_arguments(parser)
    add_common_options(parser)
    return parser, command


def _wide(prog: str) -> RawDescriptionHelpFormatter:
    """An option and what it means on one line, as far as that goes."""
    return RawDescriptionHelpFormatter(prog, max_help_position=36, width=112)


def _without_command(arguments: list[str]) -> int:
    """``bonelift``, ``bonelift --help``, ``bonelift --version`` and misspelled commands."""
    if arguments and not arguments[0].startswith("-"):
        raise InputError(f"no command {arguments[0]!r}; expected one of {', '.join(COMMANDS)}")
    parser = _top_parser()
    parser.parse_args(arguments)
    parser.print_help()
    return DONE


def _top_parser() -> ArgumentParser:
    lines = "\n".join(f"  {name:<13}{summary}" for name, (_, summary) in COMMANDS.items())
    parser = OneLineParser(
        prog="bonelift",
        usage="bonelift COMMAND [options]",
        description=f"3D models of the distal radius and ulna from wrist radiographs.\n\ncommands:\n{lines}",
        epilog=f"bonelift COMMAND --help explains a command.\n{RESEARCH_NOTICE}",
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"bonelift {__version__}")
    return parser


def _one_line(error: BaseException) -> str:
    """The message in one line; what a file put into it moves no cursor and sets no title of the terminal."""
    text = " ".join(str(error).split())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
