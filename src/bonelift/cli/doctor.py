"""``bonelift doctor``: what is installed, what works here, and how to get what is missing."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import asdict

from bonelift.api.installation import Finding, look_around
from bonelift.cli.console import console_for

EPILOG = """\
Looks at versions, PyTorch's build and device, the packaged model and its hashes, compiled kernels, folders that have to
be written, memory, and optional parts. Changes nothing. Exit status: 0; 2 where something does not work.

  bonelift doctor
  bonelift doctor --json"""
WRONG = 2
_SIGNS = {"ok": "ok", "absent": "-", "warning": "warning", "error": "ERROR"}


def add_arguments(parser: ArgumentParser) -> None:
    """None of its own."""


def run(options: Namespace) -> int:
    found = look_around()
    errors = [finding for finding in found if finding.level == "error"]
    values = {"works": not errors, "findings": [asdict(finding) for finding in found]}
    console_for(options).result(values, table(found))
    return WRONG if errors else 0


def table(found: list[Finding]) -> str:
    """One line a finding, and a verdict."""
    wide = max(len(finding.what) for finding in found)
    lines = [f"{finding.what:<{wide}}  {_SIGNS[finding.level]:<7}  {finding.text}" for finding in found]
    errors = sum(finding.level == "error" for finding in found)
    verdict = "bonelift works here" if not errors else f"{errors} of {len(found)} do not work; see ERROR above"
    return "\n".join([*lines, verdict])
