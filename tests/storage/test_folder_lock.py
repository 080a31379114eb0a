"""Two processes on one folder: the second is told, and neither a kill nor an end leaves it locked."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys

import pytest

from bonelift.errors import InputError, OutputPlaceError
from bonelift.storage.folder_lock import LOCK_NAME, folder_lock, held_folder
from bonelift.storage.output_folder import claimed_folder
from bonelift.storage.whole import staging_place

HOLD = (
    "import sys, time; from pathlib import Path; from bonelift.storage.folder_lock import folder_lock\n"
    "with folder_lock(Path(sys.argv[1])):\n print('held', flush=True); time.sleep(60)"
)


def holder(folder) -> subprocess.Popen:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    return process


def test_a_second_process_is_told_and_a_kill_frees_the_folder(tmp_path):
    process = holder(tmp_path)
    try:
        with (
            pytest.raises(InputError, match=rf"another bonelift is writing into it \(process {process.pid}\)"),
            folder_lock(tmp_path),
        ):
            pass
        with pytest.raises(InputError, match="another bonelift"), claimed_folder(tmp_path, "s.json", {}, "things"):
            pass
        assert not (tmp_path / "s.json").exists()
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    with folder_lock(tmp_path):
        assert (tmp_path / LOCK_NAME).read_text() == str(os.getpid())
    assert list(tmp_path.iterdir()) == []


def test_a_run_goes_on_with_the_same_settings_only(tmp_path):
    folder = tmp_path / "out"
    with claimed_folder(folder, "s.json", {"poses": 3, "view": "pa"}, "DRRs"):
        pass
    with claimed_folder(folder, "s.json", {"poses": 3, "view": "pa"}, "DRRs"):
        pass
    with (
        pytest.raises(InputError, match=r"holds DRRs of other settings \(poses was 3, now 4\)"),
        claimed_folder(folder, "s.json", {"poses": 4, "view": "pa"}, "DRRs"),
    ):
        pass


def test_settings_that_a_killed_run_left_half_are_written_again(tmp_path):
    (tmp_path / "s.json").write_text('{"poses": ')
    with claimed_folder(tmp_path, "s.json", {"poses": 3}, "DRRs"):
        pass
    assert (tmp_path / "s.json").read_text() == '{\n "poses": 3\n}\n'
    (tmp_path / "s.json").write_text('{"poses": ')
    (tmp_path / "w01").mkdir()
    with pytest.raises(InputError, match="is damaged"), claimed_folder(tmp_path, "s.json", {"poses": 3}, "DRRs"):
        pass


def test_a_kill_before_the_settings_had_their_name_leaves_a_folder_that_is_begun_again(tmp_path):
    """Half of the settings under another name, of a process of this machine or of another; nothing else is passed."""
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    half = staging_place(tmp_path / "s.json").name.replace(f"-{os.getpid()}-", f"-{int(ended.stdout)}-")
    (tmp_path / half).write_text('{"po')
    (tmp_path / f".s.json.elsewhere-{int(ended.stdout)}-0123456789ab.partial").write_text('{"po')
    with claimed_folder(tmp_path, "s.json", {"poses": 3}, "DRRs"):
        assert not (tmp_path / half).exists()
    other = tmp_path / "other"
    other.mkdir()
    (other / ".git").mkdir()
    with pytest.raises(InputError, match="is not empty"), claimed_folder(other, "s.json", {"poses": 3}, "DRRs"):
        pass


def test_a_refused_folder_is_not_left_behind(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("precious")
    with pytest.raises(InputError, match="is not empty"), claimed_folder(tmp_path / "full", "s.json", {}, "DRRs"):
        pass
    assert [p.name for p in (tmp_path / "full").iterdir()] == ["thesis.txt"]


def test_a_folder_that_stays_empty_is_not_left_behind(tmp_path):
    with held_folder(tmp_path / "new", "--run"):
        assert (tmp_path / "new" / LOCK_NAME).is_file()
        with pytest.raises(InputError, match="pass another --run"), held_folder(tmp_path / "new", "--run"):
            pass
    assert not (tmp_path / "new").exists()
    with held_folder(tmp_path / "kept", "--run"):
        (tmp_path / "kept" / "result").write_text("1")
    assert [p.name for p in (tmp_path / "kept").iterdir()] == ["result"]


def make_again(folder) -> None:
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / LOCK_NAME).write_text("17")


def test_a_folder_that_was_removed_and_made_again_meanwhile_is_told(tmp_path):
    """What it held before is lost, so the run does not end as if all was there; another one's lock stays."""
    folder = tmp_path / "out"
    with pytest.raises(OutputPlaceError, match="was removed while it was written"), held_folder(folder, "--out"):
        make_again(folder)
    assert (folder / LOCK_NAME).read_text() == "17"


def test_a_file_is_no_folder_and_stays(tmp_path):
    (tmp_path / "file").write_text("of the user")
    with (
        pytest.raises(InputError, match=r"file: is a file; expected a folder .* --run"),
        held_folder(tmp_path / "file", "--run"),
    ):
        pass
    assert (tmp_path / "file").read_text() == "of the user"
