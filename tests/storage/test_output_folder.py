"""A result appears whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from bonelift.errors import InputError
from bonelift.storage.output_folder import MANIFEST_NAME, output_folder


def _write_result(target: Path, text: str = "new") -> None:
    with output_folder(target) as folder:
        (folder / "report.html").write_text(text)
        (folder / "parts").mkdir()
        (folder / "parts" / "radius.stl").write_text(text)


def _write_half(target: Path, fault: type[BaseException]) -> None:
    with output_folder(target) as folder:
        (folder / "report.html").write_text("half")
        raise fault


def test_result_appears_with_its_manifest(tmp_path: Path) -> None:
    target = tmp_path / "new" / "result"
    _write_result(target)
    assert (target / "parts" / "radius.stl").read_text() == "new"
    assert (target / MANIFEST_NAME).exists()
    assert sorted(p.name for p in target.parent.iterdir()) == ["result"]


@pytest.mark.parametrize("fault", [RuntimeError, KeyboardInterrupt])
def test_failure_leaves_nothing_behind(tmp_path: Path, fault: type[BaseException]) -> None:
    target = tmp_path / "new" / "deep" / "result"
    with pytest.raises(fault):
        _write_half(target, fault)
    assert list(tmp_path.iterdir()) == []


def test_failure_keeps_the_earlier_result(tmp_path: Path) -> None:
    target = tmp_path / "result"
    _write_result(target, "first")
    with pytest.raises(RuntimeError):
        _write_half(target, RuntimeError)
    assert (target / "report.html").read_text() == "first"
    assert [p.name for p in tmp_path.iterdir()] == ["result"]


def test_earlier_result_is_replaced_whole(tmp_path: Path) -> None:
    target = tmp_path / "result"
    _write_result(target, "first")
    with output_folder(target) as folder:
        (folder / "other.txt").write_text("second")
        assert (target / "report.html").read_text() == "first"
    assert sorted(p.name for p in target.iterdir()) == [MANIFEST_NAME, "other.txt"]
    assert [p.name for p in tmp_path.iterdir()] == ["result"]


def test_empty_folder_is_used(tmp_path: Path) -> None:
    target = tmp_path / "result"
    target.mkdir()
    _write_result(target)
    assert (target / "report.html").exists()


def test_refusals_name_what_is_wrong_and_touch_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("x")
    result = tmp_path / "result"
    _write_result(result)
    (result / "my notes.txt").write_text("mine")
    for target, words in [
        (tmp_path / "file", "is a file"),
        (tmp_path / "file" / "below", "cannot be written"),
        (tmp_path / "thesis", "not an earlier bonelift result"),
        (result, "my notes.txt"),
    ]:
        with pytest.raises(InputError, match=words) as caught:
            _write_result(target)
        assert "\n" not in str(caught.value)
    monkeypatch.chdir(tmp_path / "thesis")
    with pytest.raises(InputError, match="working directory"):
        _write_result(Path("."))
    assert (result / "my notes.txt").read_text() == "mine"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "result", "thesis"]


def test_folder_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, *args: object, **kwargs: object) -> None:
        raise PermissionError(13, "Permission denied")

    # The tests may run as root, whom the file system refuses nothing.
    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(InputError, match=r"result: cannot be written \(Permission denied\); pass another --out"):
        _write_result(tmp_path / "result")
    assert list(tmp_path.iterdir()) == []
