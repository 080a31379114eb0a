"""Every snippet of the documentation: commands parse as they stand, Python runs or at least names what there is.

A snippet after ``<!-- snippet: run -->`` is run. Others need files that only their reader has: of a command every
option is parsed by its own parser, of Python the syntax, the imports and the public names are checked.
"""

from __future__ import annotations

import ast
import importlib
import re
import shlex
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

import bonelift
from bonelift.cli import main
from bonelift.cli.command_line import COMMANDS, command_parser

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(p for p in (ROOT / "docs").rglob("*.md") if "results" not in p.parts)]
_FENCE = re.compile(
    r"^(?P<mark><!-- snippet: run -->\n)?```(?P<language>[a-z]*)[^\n]*\n(?P<body>.*?)^```", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True)
class Snippet:
    page: str
    line: int
    language: str
    body: str
    run: bool

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def snippets() -> list[Snippet]:
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in _FENCE.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            name = str(page.relative_to(ROOT))
            found.append(Snippet(name, line, match["language"], match["body"], match["mark"] is not None))
    return found


SNIPPETS = snippets()
SHELL = [s for s in SNIPPETS if s.language in ("", "bash")]
PYTHON = [s for s in SNIPPETS if s.language == "python"]


def commands(body: str) -> list[list[str]]:
    """The words of each line, continued lines joined, without comments."""
    lines = body.replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def check_command(words: list[str]) -> None:
    """Raises what the command itself would raise for a wrong call."""
    if "bonelift" in words[1:] and words[0] != "pip":  # torchrun, scripts/run_in_pieces.sh and the like begin it
        words = words[words.index("bonelift") :]
    words = words[: next((at for at, word in enumerate(words) if word in ("&", "&&", ";", "|")), len(words))]
    name = Path(words[0]).name
    if name == "bonelift":
        assert words[1] in COMMANDS, words
        if "--help" not in words:
            command_parser(words[1])[0].parse_args(words[2:])
    elif "pip" in words:
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        asked = [e for word in words for part in re.findall(r"\[(.*)\]", word) for e in part.split(",")]
        assert set(asked) <= set(extras), words
    elif name == "make":
        assert all(f"\n{target}:" in (ROOT / "Makefile").read_text() for target in words[1:]), words
    elif name == "python" and words[1].endswith(".py"):
        assert (ROOT / words[1]).is_file(), words
    else:
        assert words[:3] == ["python3.11", "-m", "venv"] or name in ("open", "cd", "dask"), f"unknown command {words}"


def test_there_are_snippets():
    assert len(SHELL) > 20
    assert len(PYTHON) > 3
    assert sum(s.run for s in SNIPPETS) >= 2


@pytest.mark.parametrize("snippet", SHELL, ids=str)
def test_commands_are_called_as_they_are(snippet, tmp_path, monkeypatch, capsys):
    for words in commands(snippet.body):
        check_command(words)
        if snippet.run:
            monkeypatch.chdir(tmp_path)
            assert main(words[1:]) == 0, capsys.readouterr().err


@pytest.mark.parametrize("snippet", PYTHON, ids=str)
def test_python_says_what_is_there(snippet, tmp_path, monkeypatch):
    tree = ast.parse(snippet.body, str(snippet))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("bonelift"):
            module = importlib.import_module(str(node.module))
            assert all(hasattr(module, alias.name) for alias in node.names), ast.unparse(node)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "bonelift":
            assert node.attr in bonelift.__all__, ast.unparse(node)
    if snippet.run:
        monkeypatch.chdir(tmp_path)
        exec(compile(tree, str(snippet), "exec"), {"__name__": "snippet"})
