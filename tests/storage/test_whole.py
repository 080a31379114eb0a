"""Files and folders appear whole or not at all."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bonelift.errors import InputError, OutputPlaceError
from bonelift.storage import whole
from bonelift.storage.whole import (
    clear_partials,
    staging_place,
    whole_file,
    whole_folder,
    write_whole,
    writing,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("content", ["a\nβ\r\n", b"\x00\xff"])
def test_a_file_is_written_as_it_is_and_replaces_the_one_before(tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(b"before, and longer than what comes after")
    write_whole(path, content)
    assert path.read_bytes() == (content.encode() if isinstance(content, str) else content)
    assert names(tmp_path) == ["file"]


def test_a_file_half_written_is_not_there(tmp_path):
    path = tmp_path / "file"
    write_whole(path, "before")

    def half() -> None:
        with whole_file(path) as partial:
            partial.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half()
    assert path.read_text() == "before"
    assert names(tmp_path) == ["file"]


def test_bytes_are_on_the_disk_before_the_name_is(tmp_path, monkeypatch):
    steps = []
    replace = os.replace
    monkeypatch.setattr(whole, "sync", lambda path: steps.append(f"sync {path.name}"))
    monkeypatch.setattr(
        os, "replace", lambda source, final: steps.append(f"name {final.name}") or replace(source, final)
    )
    write_whole(tmp_path / "file", "text")
    with whole_folder(tmp_path / "folder") as staging:
        (staging / "inside").write_text("text")
    assert steps[0].startswith("sync .file.")
    assert steps[1:3] == ["name file", f"sync {tmp_path.name}"]
    staged = staging.name
    assert steps[3:] == ["sync inside", f"sync {staged}", "name folder", f"sync {tmp_path.name}"]


def test_what_a_killed_process_left_is_cleared_away(tmp_path):
    (tmp_path / ".file.1.partial").write_text("half")
    (tmp_path / ".other.1.partial").write_text("another's")
    write_whole(tmp_path / "file", "text")
    clear_partials(tmp_path / "file")
    assert names(tmp_path) == [".other.1.partial", "file"]


def test_a_file_that_a_killed_process_left_half_is_gone_when_it_is_written_again(tmp_path):
    """What a process that still runs, or one of another machine, writes stays."""
    place = staging_place(tmp_path / "file").name
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    killed = place.replace(f"-{os.getpid()}-", f"-{int(ended.stdout)}-")
    elsewhere = f".file.elsewhere-{int(ended.stdout)}-0123456789ab.partial"
    for name in (place, killed, elsewhere):
        (tmp_path / name).write_text("half")
    write_whole(tmp_path / "file", "text")
    assert names(tmp_path) == sorted([place, elsewhere, "file"])


@pytest.mark.parametrize(("existing", "stands"), [("keep", "first"), ("replace", "second")])
def test_of_two_folders_one_stands(tmp_path, existing, stands):
    folder = tmp_path / "folder"
    with whole_folder(folder, existing) as staging:
        (staging / "who").write_text("second")
        folder.mkdir()
        (folder / "who").write_text("first")
    assert (folder / "who").read_text() == stands
    assert names(tmp_path) == ["folder"]


def test_a_folder_is_not_written_over_another(tmp_path):
    folder = tmp_path / "folder"
    with whole_folder(folder) as staging:
        (staging / "who").write_text("first")
    with pytest.raises(InputError, match="not empty"), whole_folder(folder) as staging:
        (staging / "who").write_text("second")
    assert (folder / "who").read_text() == "first"
    assert names(tmp_path) == ["folder"]


def test_a_folder_that_was_removed_while_it_was_written_is_said(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(OutputPlaceError, match=r"w01: was removed while it was written"), whole_folder(out / "w01"):
        shutil.rmtree(out)
    with pytest.raises(OutputPlaceError, match="was removed"), writing(out):
        write_whole(out / "table.csv", "rows")
    assert names(tmp_path) == []


def test_a_file_that_is_not_there_is_no_folder_that_was_removed(tmp_path):
    with pytest.raises(FileNotFoundError), writing(tmp_path):
        (tmp_path / "missing").read_bytes()


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), OSError("4096 requested and 512 written")])
def test_a_full_disk_is_called_so(tmp_path, error):
    """The second is how numpy tells it."""
    with pytest.raises(OutputPlaceError, match=r"cannot be written \(No space left on device\); make room"):
        fail_below(tmp_path, error)


def fail_below(folder: Path, error: OSError) -> None:
    with writing(folder):
        raise error
