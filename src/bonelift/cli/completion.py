"""``bonelift completion``: what a shell needs to complete commands and options; and the answers that it then asks for.

The shell calls ``bonelift`` itself at each Tab (argcomplete's protocol), so what is offered is what this version has.
"""

from __future__ import annotations

import os
from argparse import SUPPRESS, ArgumentParser, Namespace
from collections.abc import Callable, Mapping

import argcomplete
from argcomplete.shell_integration import shellcode

from bonelift.cli.console import console_for

EPILOG = """\
  bonelift completion bash > ~/.local/share/bash-completion/completions/bonelift
  bonelift completion zsh > ~/.zsh/completions/_bonelift          # a folder that stands in $fpath
  bonelift completion fish > ~/.config/fish/completions/bonelift.fish

A new shell then completes commands, options, their values and files."""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("shell", choices=["bash", "zsh", "fish"], help="whose script is printed")


def run(options: Namespace) -> int:
    script = shellcode(["bonelift"], shell=options.shell)
    console_for(options).result({"shell": options.shell, "script": script}, script)
    return 0


def answer(commands: Mapping[str, str], fill: Callable[[str, ArgumentParser], None]) -> None:
    """Tell the shell, and end the process.

    commands: name -> summary. fill: adds the arguments of a command to a parser; called for the one on the line alone,
    since others would be imported for nothing.
    """
    parser = ArgumentParser(prog="bonelift")
    parser.add_argument("--version", action="store_true", help="the version")
    subparsers = parser.add_subparsers()
    typed = os.environ.get("COMP_LINE", "").split()[1:2]
    for name, summary in commands.items():
        command = subparsers.add_parser(name, help=summary, argument_default=SUPPRESS)
        if typed == [name]:
            fill(name, command)
    argcomplete.autocomplete(parser)
