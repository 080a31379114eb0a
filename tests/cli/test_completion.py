"""Completion: the scripts for three shells, and what is offered when a shell asks."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from bonelift.cli import main
from bonelift.cli.command_line import COMMANDS


def offered(line: str, tmp_path) -> list[str]:
    """What bash is told for the cursor at the end of ``line``."""
    answer = tmp_path / "answer"
    asked = {
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_SHELL": "bash",
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
    }
    subprocess.run([sys.executable, "-m", "bonelift"], env={**os.environ, **asked}, check=True)
    return [word.strip() for word in answer.read_text().splitlines()]


@pytest.mark.parametrize(
    ("shell", "sign"), [("bash", "complete "), ("zsh", "#compdef bonelift"), ("fish", "complete --c")]
)
def test_each_shell_gets_its_script(shell, sign, capsys):
    assert main(["completion", shell]) == 0
    assert sign in capsys.readouterr().out


def test_commands_options_and_values_are_offered(tmp_path):
    assert set(COMMANDS) <= set(offered("bonelift ", tmp_path))
    assert offered("bonelift recon", tmp_path) == ["reconstruct"]
    assert "--pixel-spacing-mm" in offered("bonelift reconstruct film.png --pix", tmp_path)
    assert set(offered("bonelift train all study --preset ", tmp_path)) == {"smoke", "laptop", "paper"}


def test_another_shell_is_refused(capsys):
    assert main(["completion", "tcsh"]) == 2
    assert "invalid choice" in capsys.readouterr().err
