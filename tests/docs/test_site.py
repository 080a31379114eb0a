"""The documentation site: it builds without a warning, asks nothing of the network, and explains every flag."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from bonelift.cli.command_line import COMMANDS
from builders.docs_hooks import docs_hooks

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """Built as ``make docs`` does; a warning, such as a link that leads nowhere, is an error."""
    pytest.importorskip("mkdocs", reason="mkdocs is not installed: pip install '.[docs]'")
    pytest.importorskip("mkdocstrings", reason="mkdocstrings is not installed: pip install '.[docs]'")
    pytest.importorskip("material", reason="mkdocs-material is not installed: pip install '.[docs]'")
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    folder = tmp_path_factory.mktemp("site")
    config = load_config(str(ROOT / "mkdocs.yml"), site_dir=str(folder), strict=True)
    build(config)
    return folder


@pytest.mark.filterwarnings("ignore")
def test_the_site_builds_strictly_and_loads_nothing_from_elsewhere(site):
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 40
    for page in pages:
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r"<(?:script|img|iframe|source)[^>]*?\ssrc=[\"']?([^\"'\s>]+)", text)
        loaded += re.findall(r"<link[^>]*rel=[\"']?(?:stylesheet|preconnect|icon)[^>]*?href=[\"']?([^\"'\s>]+)", text)
        foreign = [place for place in loaded if re.match(r"(https?:)?//", place)]
        assert not foreign, (page, foreign)


@pytest.mark.filterwarnings("ignore")
def test_pages_made_from_the_code_hold_it(site):
    commands = (site / "reference" / "commands.html").read_text()
    assert all(f'id="{name}"' in commands for name in COMMANDS)
    api = (site / "reference" / "api.html").read_text()
    assert ":class:" not in api
    import bonelift

    for name in bonelift.__all__:
        if name not in ("RESEARCH_NOTICE", "__version__"):
            assert f'id="bonelift.{name}"' in api or f'.{name}"' in api, f"{name} is not on the API page"


def test_every_message_of_the_code_is_on_its_page():
    hooks = docs_hooks()
    found = hooks.error_messages(ROOT / "src" / "bonelift")
    assert sum(map(len, found.values())) > 300
    assert "lists no case; bonelift import adds some" in hooks.messages_page()


def flag_texts() -> set[tuple[str, ...]]:
    """The fixed pieces of the text of each flag in the code."""
    path = ROOT / "src" / "bonelift" / "reconstruction" / "judge.py"
    texts = set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assigned = {
        node.targets[0].id: node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    for node in ast.walk(tree):
        name = getattr(getattr(node, "func", None), "id", "")
        if isinstance(node, ast.Call) and name in ("Flag", "_rising", "_falling"):
            value = node.args[-1]
            value = assigned.get(value.id, value) if isinstance(value, ast.Name) else value
            whole = docs_hooks().message_text(value)
            pieces = (piece.strip(" (,;)") for piece in re.split(r"…|: |; ", whole))
            texts.add(tuple(piece for piece in pieces if len(piece.split()) >= 3))
    return texts - {()}


def test_every_flag_is_explained_by_its_text():
    page = (ROOT / "docs" / "reference" / "flags.md").read_text(encoding="utf-8")
    plain = re.sub(r"\s+", " ", page)
    quoted = re.findall(r"\"([^\"]+)\"", plain)
    texts = flag_texts()
    assert len(texts) > 12
    explained = {piece for pieces in texts for piece in pieces if any(q in piece or piece in q for q in quoted)}
    missing = [pieces for pieces in texts if not explained & set(pieces)]
    assert not missing, missing


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "src/bonelift/models/default/MODEL_CARD.md"])
def test_links_of_pages_beside_the_site_lead_somewhere(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#\s]+)", text):
        if "://" not in target:
            assert ((ROOT / page).parent / target).exists(), f"{page}: {target}"


def test_no_page_has_a_place_left_to_fill_in():
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    assert len(pages) > 40
    for page in pages:
        assert not re.findall(r"@@|\b(?:TODO|TBD|FIXME)\b", page.read_text(encoding="utf-8")), page
