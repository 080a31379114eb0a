"""The wrists on the desk and the queue: what is refused, what is deleted, what a restart keeps."""

from __future__ import annotations

import io
import os
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bonelift.errors import InputError
from bonelift.reconstruction.job import STEPS
from bonelift.serve import desk as desk_module
from bonelift.serve.children import WorkerError
from bonelift.serve.limits import Limits
from bonelift.storage.whole import staging_place
from builders.served_page import Children, Client, client, new_wrist


@pytest.fixture
def children(monkeypatch) -> Iterator[Children]:
    stand_in = Children()
    monkeypatch.setattr(desk_module, "run_task", stand_in)
    yield stand_in
    stand_in.release()


def wait_for(to: Client, path: str, *states: str) -> dict:
    for _ in range(1000):
        wrist = to.get(path).json()
        if wrist["state"] in states:
            return wrist
        time.sleep(0.005)
    raise AssertionError(f"still {wrist['state']}, not {states}")


def test_a_film_that_is_none_is_refused_in_one_sentence_and_deleted(children: Children) -> None:
    with client() as to:
        path = f"/api/wrists/{to.post('/api/wrists').json()['name']}"
        answer = to.post(f"{path}/films", content=b"bad")
        assert answer.status_code == 422
        assert answer.json()["message"] == "film 1: is a PDF document; expected DICOM, PNG, JPEG or TIFF"
        assert to.get(path).json()["films"] == []
        assert [p for p in to.desk.places.uploads.rglob("*") if p.is_file()] == []


def test_a_third_film_is_refused_and_one_can_be_taken_away(children: Children) -> None:
    with client() as to:
        path = new_wrist(to)
        assert to.post(f"{path}/films", content=b"other").status_code == 201
        third = to.post(f"{path}/films", content=b"third")
        assert third.status_code == 409
        assert "two films" in third.json()["message"]
        left = to.delete(f"{path}/films/1").json()
        assert [film["number"] for film in left["films"]] == [2]
        assert to.post(f"{path}/films", content=b"third").status_code == 201
        assert to.get(f"{path}/films/1/picture").status_code == 404


def test_the_file_s_name_reaches_neither_the_disk_nor_the_child(children: Children) -> None:
    with client() as to:
        path = f"/api/wrists/{to.post('/api/wrists').json()['name']}"
        named = {"content-disposition": 'attachment; filename="ROENTGEN_ANNA.dcm"'}
        assert to.post(f"{path}/films", content=b"film", headers=named).status_code == 201
        assert "ROENTGEN" not in repr(children.tasks)
        assert not [p for p in to.desk.places.uploads.rglob("*") if "ROENTGEN" in p.name]


def test_missing_facts_are_named_before_anything_is_started(children: Children) -> None:
    children.missing = ["side", "pixel_spacing"]
    with client() as to:
        path = new_wrist(to)
        answer = to.post(f"{path}/run")
        assert answer.status_code == 422
        assert answer.json()["message"].endswith("the pixel spacing, the side")
        assert children.running == 0


def test_one_job_at_a_time_and_the_queue_ends(children: Children) -> None:
    with client(Limits(queued=2)) as to:
        wrists = [new_wrist(to) for _ in range(4)]
        assert to.post(f"{wrists[0]}/run").status_code == 202
        wait_for(to, wrists[0], "running")
        assert [to.post(f"{path}/run").status_code for path in wrists[1:3]] == [202, 202]
        full = to.post(f"{wrists[3]}/run")
        assert full.status_code == 503
        assert "queue is full" in full.json()["message"]
        assert int(full.headers["retry-after"]) > 0
        assert children.running == 1
        assert to.get(wrists[2]).json()["before"] == 2
        assert to.post(f"{wrists[1]}/run").status_code == 409  # it waits already
        assert to.post(f"{wrists[1]}/films", content=b"film").status_code == 409  # nor may it change now
        children.release()
        for path in wrists[:3]:
            assert wait_for(to, path, "done")["has_result"]


def test_cancel_ends_a_running_and_a_waiting_job(children: Children) -> None:
    with client() as to:
        running, waiting = new_wrist(to), new_wrist(to)
        to.post(f"{running}/run")
        wait_for(to, running, "running")
        to.post(f"{waiting}/run")
        assert to.post(f"{waiting}/cancel").json()["state"] == "cancelled"
        assert to.post(f"{running}/cancel").json()["state"] == "cancelled"
        assert (children.running, children.cancelled) == (0, 1)
        assert to.post(f"{running}/cancel").status_code == 200  # nothing runs: nothing happens
        children.release()
        assert to.post(f"{running}/run").status_code == 202  # and it can be run again
        wait_for(to, running, "done")


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (InputError("film 1: pass --pixel-spacing-mm"), "film 1: set Pixel spacing"),
        (WorkerError("the process ended by itself (status -9)"), "the reconstruction ended early"),
    ],
)
def test_a_job_that_fails_says_why_and_the_next_one_runs(children: Children, fault: Exception, words: str) -> None:
    children.fails = fault
    children.release()
    with client() as to:
        path = new_wrist(to)
        to.post(f"{path}/run")
        assert words in wait_for(to, path, "failed")["message"]
        children.fails = None
        assert to.post(f"{path}/run").status_code == 202
        wait_for(to, path, "done")


def test_a_result_of_other_facts_is_called_so(children: Children) -> None:
    children.release()
    with client() as to:
        path = new_wrist(to)
        to.post(f"{path}/run")
        assert wait_for(to, path, "done")["stale"] is False
        assert to.put(f"{path}/films/1", json={"side": "left"}).json()["stale"] is True
        to.post(f"{path}/run")
        assert wait_for(to, path, "done")["stale"] is False


def test_all_files_come_as_a_zip_without_the_films(children: Children) -> None:
    children.release()
    with client() as to:
        path = new_wrist(to)
        assert to.get(f"{path}/result.zip").status_code == 404
        to.post(f"{path}/run")
        wait_for(to, path, "done")
        with zipfile.ZipFile(io.BytesIO(to.get(f"{path}/result.zip").content)) as archive:
            assert archive.namelist() == ["bonelift-wrist/radius.stl"]
        for other in ("page/view.json", "page/..%2F..%2Fradius.stl", "page/film-3.png"):
            assert to.get(f"{path}/{other}").status_code in (404, 422)


def test_delete_removes_films_result_and_job(children: Children) -> None:
    with client() as to:
        path = new_wrist(to)
        to.post(f"{path}/run")
        wait_for(to, path, "running")
        name = path.rsplit("/", 1)[-1]
        assert to.delete(path).status_code == 200
        assert children.cancelled == 1
        assert [p for p in to.desk.places.uploads.rglob("*") if name in str(p)] == []
        gone = to.get(path)
        assert gone.status_code == 404
        assert "deleted" in gone.json()["message"]


def test_at_the_end_nothing_is_left_and_what_is_kept_is_there_again(children: Children, tmp_path: Path) -> None:
    children.release()
    keep = tmp_path / "kept"
    with client(keep=keep) as to:
        done, cut_short = new_wrist(to), new_wrist(to)
        uploads = to.desk.places.uploads
        to.post(f"{done}/run")
        wait_for(to, done, "done")
        children._released = False
        to.post(f"{cut_short}/run")
        wait_for(to, cut_short, "running")
    assert not uploads.exists()
    assert children.running == 0
    with client(keep=keep) as to:
        assert [wrist["state"] for wrist in to.get("/api/desk").json()["wrists"]] == ["done"]
        assert to.get(f"{done}/view").json() == {"side": "right"}
        assert to.get(cut_short).status_code == 404
        assert to.delete(done).status_code == 200
    assert list(keep.iterdir()) == []


def test_what_a_killed_server_had_half_written_goes_and_what_was_finished_stays(children: Children, tmp_path) -> None:
    children.release()
    with client(keep=tmp_path) as to:
        path = new_wrist(to)
        to.post(f"{path}/run")
        wait_for(to, path, "done")
    done = tmp_path / path.rsplit("/", 1)[-1]
    half = staging_place(tmp_path / "20260101-120000-0123456789ab")
    (half.with_name(half.name.replace(f"-{os.getpid()}-", "-999999999-")) / "page").mkdir(parents=True)
    (tmp_path / "notes.txt").write_text("mine")
    with client(keep=tmp_path) as to:
        assert [wrist["name"] for wrist in to.get("/api/desk").json()["wrists"]] == [done.name]
    assert not list(tmp_path.glob(".*999999999*"))
    assert (tmp_path / "notes.txt").exists()


def test_without_keep_the_results_go_too(children: Children) -> None:
    children.release()
    with client() as to:
        path = new_wrist(to)
        to.post(f"{path}/run")
        wait_for(to, path, "done")
        uploads, results = to.desk.places.uploads, to.desk.places.results
        assert results.is_dir()
    assert not uploads.exists()
    assert not results.exists()


def test_the_desk_holds_so_many_wrists(children: Children) -> None:
    with client(Limits(wrists=2)) as to:
        assert [to.post("/api/wrists").status_code for _ in range(3)] == [201, 201, 409]
        for wrist in to.desk.wrists.values():
            wrist.made -= to.desk.limits.upload_s + 1
        assert to.post("/api/wrists").status_code == 201  # those that nothing was ever put on give way
        assert len(to.desk.wrists) == 1


def test_the_steps_that_the_page_counts_are_those_of_the_job() -> None:
    assert ("read", "load model", *STEPS, "save") == desk_module.STEP_NAMES
