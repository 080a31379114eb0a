"""The command line: parses, calls the library, shows. It holds no science."""

from bonelift.cli.command_line import main

__all__ = ["main"]
