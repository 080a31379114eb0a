"""`--help` of every command without what only its work needs."""

from __future__ import annotations

import subprocess
import sys

from bonelift.cli.command_line import COMMANDS

WITHOUT = """
import io, sys
from contextlib import redirect_stdout

class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "matplotlib", "distributed", "fastapi", "uvicorn", "highdicom", "monai"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, NotInstalled())
from bonelift.cli import main
for command in sys.argv[1:]:
    shown = io.StringIO()
    with redirect_stdout(shown):
        status = main([command, "--help"])
    print(command, status, shown.getvalue().startswith("usage: "))
"""


def test_every_command_explains_itself_without_optional_parts():
    done = subprocess.run([sys.executable, "-c", WITHOUT, *COMMANDS], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == [f"{command} 0 True" for command in COMMANDS], done.stderr
