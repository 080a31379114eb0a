"""What a command prints ends no finished work, and what a file says moves no cursor."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from bonelift.cli import main
from bonelift.cli.command_line import _one_line
from bonelift.cli.console import Console, OutputError, show_what_it_cannot_encode

CALL = [sys.executable, "-c", "import sys; from bonelift.cli import main; sys.exit(main())", "--version"]


def test_a_name_outside_of_the_consoles_encoding_is_escaped():
    code = (
        "from bonelift.cli.console import *; import sys; show_what_it_cannot_encode(sys.stdout); Console().say('手首')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, env={**os.environ, "PYTHONIOENCODING": "cp1252"}, check=True
    )
    assert done.stdout.split() == [b"\\u624b\\u9996"]


def test_closed_streams_and_readers_that_left_are_no_fault():
    assert (
        subprocess.run(["sh", "-c", '"$@" 2>&-', "sh", *CALL], stdout=subprocess.DEVNULL, check=False).returncode == 0
    )
    done = subprocess.run(["sh", "-c", '"$@" | true', "sh", *CALL], capture_output=True, check=False)
    assert b"fault" not in done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_disk_below_standard_output_is_told(monkeypatch):
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(OutputError, match="the work itself is done"):
            Console().say("x" * 100)
        monkeypatch.undo()
        os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())


def test_escape_sequences_of_a_header_are_shown_as_text():
    shown = _one_line(ValueError("a.dcm: class \x1b]0;title\x07\x1b[31mDOE\n is not\u202e read"))
    assert shown == "a.dcm: class \\x1b]0;title\\x07\\x1b[31mDOE is not\\u202e read"
    assert show_what_it_cannot_encode(None) is None


@pytest.mark.skipif(os.name != "posix", reason="a working folder cannot be removed here")
def test_a_working_folder_that_was_removed_is_told(tmp_path, monkeypatch, capsys):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert main(["simulate", "--patients", "1", "--seed", "1", "--out", "study"]) == 2
    assert capsys.readouterr().err == "bonelift: the working folder was removed; change into one that is there\n"
