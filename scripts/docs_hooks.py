"""Hooks of mkdocs (mkdocs.yml): pages that are made from the code, and links that lead out of docs/.

Commands come from the parsers, messages from the source, notebooks from their jupytext sources, so none of them can
tell what is no longer true.
"""

from __future__ import annotations

import ast
import re
from argparse import SUPPRESS, Action, ArgumentParser
from collections import defaultdict
from pathlib import Path, PurePosixPath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from bonelift.cli.command_line import COMMANDS, command_parser

ROOT = Path(__file__).resolve().parents[1]
COPIED = {
    "CONTRIBUTING.md": "reference/contributing.md",
    "CHANGELOG.md": "reference/changelog.md",
    "README.md": "index.md",
    "src/bonelift/models/default/MODEL_CARD.md": "reference/model-card.md",
    "src/bonelift/anatomy/SHAPE_MODEL_CARD.md": "reference/shape-model-card.md",
}
"""Files beside docs/ that are pages of the site; README.md has one of its own in its place."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that no file in docs/ holds."""
    pages = {"reference/commands.md": commands_page(), "reference/messages.md": messages_page()}
    for source, target in COPIED.items():
        if source != "README.md":
            pages[target] = (ROOT / source).read_text(encoding="utf-8")
    for notebook in sorted((ROOT / "docs" / "notebooks").glob("*.py")):
        pages[f"notebooks/{notebook.stem}.md"] = notebook_page(notebook)
    for place, content in pages.items():
        files.append(File.generated(config, place, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead links that leave docs/ to the pages that stand for those files, or take the link away."""
    place = PurePosixPath(page.file.src_uri)
    source = next((s for s, target in COPIED.items() if target == str(place) and s != "README.md"), f"docs/{place}")
    return re.sub(r"(!?)\[([^\]]*)\]\(([^)\s#]+)(#[^)\s]*)?\)", lambda m: _link(m, source, place), markdown)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Sphinx's roles in docstrings (:class:`Volume`) become links within the page, or plain code."""

    def plain(found: re.Match[str]) -> str:
        name = found[1].lstrip("~")
        return f'<a href="#bonelift.{name}"><code>{name}</code></a>' if name in names else f"<code>{name}</code>"

    names = set(re.findall(r'id="bonelift\.([A-Za-z_]+)"', html))
    return re.sub(r":(?:class|func|meth|attr|mod|data|exc|doc):<code>([^<]*)</code>", plain, html)


def _link(found: re.Match[str], source: str, place: PurePosixPath) -> str:
    mark, text, target, anchor = found[1], found[2], found[3], found[4] or ""
    if "://" in target or target.startswith(("mailto:", "/")):
        return found[0]
    path = _normal(PurePosixPath(source).parent / target)
    if path in COPIED:
        wanted = COPIED[path]
    elif path.startswith("docs/"):
        wanted = path.removeprefix("docs/")
    elif not (ROOT / source).exists():  # a page that was made: it links within the site
        return found[0]
    else:
        return f"`{path}`" if mark == "" and (ROOT / path).exists() else found[0]
    up = "../" * (len(place.parts) - 1)
    return f"{mark}[{text}]({up}{wanted}{anchor})"


def _normal(path: PurePosixPath) -> str:
    parts: list[str] = []
    for part in path.parts:
        if part == ".." and parts:
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


def commands_page() -> str:
    """Every command with its options and its own explanation."""
    lines = [
        "# Commands",
        "",
        "This page is made from the parsers of the commands. `bonelift COMMAND --help` prints the same.",
        "",
        "Exit status: 0 means done; 2 means that the input or the call is wrong, and one line on standard error says "
        "what; 3 means that the result is flagged and `--strict` was given; 130 means interrupted; 1 means a fault of "
        "ours.",
        "",
        "| command | does |",
        "|---|---|",
        *(f"| [`{name}`](#{name}) | {summary} |" for name, (_, summary) in COMMANDS.items()),
        "",
    ]
    for name in COMMANDS:
        lines += _command(name, command_parser(name)[0])
    return "\n".join(lines)


def _command(name: str, parser: ArgumentParser) -> list[str]:
    lines = [f"## {name}", "", f"{parser.description}", ""]
    usage = " ".join(parser.format_usage().removeprefix("usage: ").split())
    lines += ["```text", *_wrapped(usage), "```", ""]
    if parser.epilog:
        lines += ["```text", *str(parser.epilog).replace("%%", "%").splitlines(), "```", ""]
    for group in parser._action_groups:
        actions = [action for action in group._group_actions if action.help is not SUPPRESS and action.dest != "help"]
        if actions:
            lines += [f"**{(group.title or '').capitalize()}**", "", "| option | means |", "|---|---|"]
            lines += [f"| {_names(action)} | {_meaning(action, parser)} |" for action in actions]
            lines += [""]
    return lines


def _wrapped(text: str, width: int = 100) -> list[str]:
    lines, rest = [], text
    while len(rest) > width and " " in rest[:width]:
        cut = rest.rfind(" ", 0, width)
        lines, rest = [*lines, rest[:cut]], "    " + rest[cut + 1 :]
    return [*lines, rest]


def _names(action: Action) -> str:
    value = action.metavar or ("{" + ",".join(map(str, action.choices)) + "}" if action.choices else "")
    value = value if isinstance(value, str) else " ".join(value)
    if not action.option_strings:
        return f"`{value or action.dest}`"
    value = f" {value or action.dest.upper()}" if action.nargs != 0 else ""
    return ", ".join(f"`{option}{value}`" for option in action.option_strings).replace("|", "\\|")


def _meaning(action: Action, parser: ArgumentParser) -> str:
    if not action.help:
        return "required" if action.required else "see the text above"
    text = parser._get_formatter()._expand_help(action)
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def messages_page() -> str:
    """Every sentence with which bonelift refuses something, with an ellipsis where it names what it got."""
    found = error_messages(ROOT / "src" / "bonelift")
    lines = [
        "# Messages",
        "",
        "bonelift refuses what it cannot use with one line: what it is about, what was found, what was expected, and "
        "what to do. This page lists every such line, made from the source, by the part of the program that says it. "
        "An ellipsis stands where a message names a file, a value or a number. Search for a few of its words.",
        "",
        "Messages about a row of a table begin with its line, and name the column where others name the option.",
        "",
    ]
    for part in sorted(found):
        lines += [f"## {part}", "", *(f"- {_escaped(text)}" for text in sorted(found[part])), ""]
    return "\n".join(lines)


def _escaped(text: str) -> str:
    return re.sub(r"([<>*_\[\]|])", r"\\\1", text)


ERRORS = ("InputError", "OutputPlaceError")


def error_messages(package: Path) -> dict[str, set[str]]:
    """Part of the package -> the texts of its ``InputError(...)`` and its kind, ellipses for what is filled in."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in sorted(package.rglob("*.py")):
        part = path.relative_to(package).parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ERRORS and node.args:
                text = message_text(node.args[0])
                if len(text.replace("…", "").split()) >= 3:
                    found[part].add(text)
    return found


def message_text(node: ast.expr) -> str:
    """A string or f-string with an ellipsis for each value in it."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(message_text(part) if isinstance(part, ast.Constant) else "…" for part in node.values)
    if isinstance(node, ast.BinOp):
        return message_text(node.left) + message_text(node.right)
    return "…"


def notebook_page(path: Path) -> str:
    """A jupytext percent script as a page: its text, and its code in blocks."""
    lines = []
    for kind, cell in notebook_cells(path.read_text(encoding="utf-8")):
        lines += [cell, ""] if kind == "markdown" else ["```python", cell, "```", ""]
    name = f"docs/notebooks/{path.name}"
    lines += [f"*The source of this page is `{name}`. `jupytext --to ipynb {name}` makes a notebook of it.*", ""]
    return "\n".join(lines)


def notebook_cells(text: str) -> list[tuple[str, str]]:
    """("markdown" or "code", content) of each cell."""
    cells = []
    for block in re.split(r"^# %%", text, flags=re.MULTILINE)[1:]:
        head, _, body = block.partition("\n")
        if "[markdown]" in head:
            cells.append(("markdown", re.sub(r"^# ?", "", body, flags=re.MULTILINE).strip()))
        else:
            cells.append(("code", body.strip()))
    return cells
