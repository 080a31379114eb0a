"""Methods on real bones and real films: one image for all, each failure a reason, and tables that say who is best."""

from __future__ import annotations

import argparse
import mmap
import os
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from bonelift.experiments.methods.grounds import MEAN, SIZED, ReadImage, read_image, readers
from bonelift.experiments.methods.on_films import image_of, with_bones
from bonelift.experiments.methods.on_real_bones import CT_DRR, FILM, NO_IMAGE, MethodOnBone
from bonelift.experiments.results.tables import read_rows, write_rows
from bonelift.images import LAPTOP_GRID
from bonelift.images.reading import RadiographOptions
from bonelift.networks.model import WristModel, load_model
from bonelift.networks.own_network import WristImage
from bonelift.reconstruction.bones import BONES, Bones
from bonelift.reconstruction.inputs import ImageInput, read_radiographs
from bonelift.reconstruction.job import reconstruct
from bonelift.surface.mesh import TriangleMesh
from builders.virtual_films import SPACING_MM, write_film

DRR = WristImage("pa", np.ones((160, 128), np.float32))


@pytest.fixture(scope="module")
def model() -> WristModel:
    return load_model(None)


@pytest.fixture
def page(monkeypatch):
    """scripts/methods_grounds_page.py."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "scripts")
    import methods_grounds_page

    yield methods_grounds_page
    scripts = ("methods_grounds_page", "adult_films_page", "measure_packaged_methods", "measure_registered_poses")
    for name in (*scripts, "methods_made"):
        sys.modules.pop(name, None)


def bones_of(radius: TriangleMesh, ulna: TriangleMesh) -> Bones:
    return Bones(np.zeros((2, 2, 2, 2), np.float32), LAPTOP_GRID, {"radius": radius, "ulna": ulna}, np.zeros(0))


def test_what_a_method_cannot_do_is_a_reason():
    nothing = TriangleMesh(np.zeros((0, 3)), np.zeros((0, 3), np.int32))
    triangle = TriangleMesh(np.eye(3), np.array([[0, 1, 2]], np.int32))

    def breaks(image: WristImage) -> Bones:
        raise ZeroDivisionError("by nothing")

    read = read_image(breaks, DRR)
    assert (read.bones, read.reason) == (None, "ZeroDivisionError: by nothing")
    read = read_image(lambda image: bones_of(triangle, nothing), DRR)
    assert (read.bones, read.reason) == (None, "no surface: ulna")
    read = read_image(lambda image: bones_of(triangle, triangle), DRR)
    assert read.bones is not None
    assert read.reason == ""


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="the peak of memory cannot be forgotten")
def test_memory_is_that_of_the_reading():
    triangle = TriangleMesh(np.eye(3), np.array([[0, 1, 2]], np.int32))

    def heavy(image: WristImage) -> Bones:
        with mmap.mmap(-1, 192 * 2**20) as pages:  # 192 MiB for a moment, given back whatever the allocator does
            for _ in range(192):
                pages.write(bytes(2**20))
        return bones_of(triangle, triangle)

    def light(image: WristImage) -> Bones:
        return bones_of(triangle, triangle)

    def read(reader) -> ReadImage:
        return read_image(reader, DRR)

    # The heavy one comes first: what it held must not count for the next.
    assert read(heavy).peak_mib - read(light).peak_mib > 170


def test_each_method_reads_what_it_needs_of_an_image(model):
    """The mean bone looks at nothing; the others need an image that shows bone, or has been translated."""
    reads = readers(model)
    image = replace(DRR, drr=np.zeros((160, 128), np.float32))
    means = [reads[MEAN](picture).surfaces["radius"].vertices for picture in (DRR, image)]
    assert np.array_equal(*means)
    assert read_image(reads["render-and-compare"], image).reason == "render and compare: the image shows no bone"
    untranslated = WristImage("pa", None, np.ones((160, 128), np.float32))
    assert read_image(reads["tl"], untranslated).reason.startswith("ValueError: the image has not been translated")


def test_the_main_jobs_own_bones_are_placed_and_judged_as_it_does(model, tmp_path):
    """All that differs between methods is the reading: with its own bones the job's answer comes back."""
    options = RadiographOptions(side="right", view="pa", pixel_spacing_mm=SPACING_MM)
    found = reconstruct(read_radiographs([ImageInput(write_film(tmp_path / "pa.png", "pa"), options)]), model)
    image = image_of(found)
    assert image is not None
    again = with_bones(found, readers(model)["shape"](image), model, start="read")
    assert again.quality.score == pytest.approx(found.quality.score, abs=1e-6)
    for bone in BONES:
        assert np.allclose(again.placed[0].world_from_bone[bone], found.placed[0].world_from_bone[bone], atol=1e-6)
        assert np.allclose(again.placed[0].bones_world[bone].vertices, found.placed[0].bones_world[bone].vertices)
    mean = with_bones(found, readers(model)[MEAN](image), model)
    assert mean.expected is None  # a mean bone tells no error of itself
    assert mean.quality.score != again.quality.score


def row(source: str, method: str, subject: str, mm: float, note: str = "") -> list[MethodOnBone]:
    """Both bones and alignments of one reading; as predicted it is twice as far off."""
    return [
        MethodOnBone(
            subject, bone, -40.0, source, 1.0, 0, method, "a-model", "seen", alignment, mm, scale * mm, mm, mm,
            note=note, read_s=0.5, read_mib=100.0, made="abc, today",
        )
        for bone in BONES
        for alignment, scale in (("rigid", 1.0), ("as predicted", 2.0))
    ]  # fmt: skip


def test_the_page_says_who_is_best_and_what_failed(page: ModuleType, tmp_path):
    rows: list[MethodOnBone] = []
    for subject, size in (("a", 1.0), ("b", 1.5), ("c", 2.0), ("d", 2.2)):
        rows += row(NO_IMAGE, MEAN, subject, 0.8 * size)
        rows += row(NO_IMAGE, SIZED, subject, 0.6 * size)
        for source in (CT_DRR, FILM):
            failed = (subject, source) == ("d", FILM)
            rows += row(source, "shape", subject, 0.4 * size)
            rows += row(source, "tl", subject, np.nan if failed else 0.2 * size, "no ulna" if failed else "")
    write_rows(tmp_path / page.REAL_BONES, MethodOnBone, rows)
    assert read_rows(tmp_path / page.REAL_BONES, MethodOnBone)[0].subject == "a"
    lines = page.real_bones(tmp_path).splitlines()
    # 0.2 * mean of 1, 1.5, 2, 2.2 is 0.335; ours is twice that, and the second of two.
    assert f"| {CT_DRR} | radius, rigid | {page.METHODS['tl']}: 0.34 | 0.67 (2 of 2) | 1.34 | 1.01 |" in lines
    [film] = [line for line in lines if line.startswith(f"| {FILM} | {page.METHODS['tl']} |")]
    # Without d 0.3 mm are left, and the mean bone has 1.2 mm on the same subjects: 75 %.
    assert "| 0.30 (3) | 75 % | 0.60 |" in film
    assert "| 1 of 4 | 0.50 | 100 |" in film
    assert f"| {page.METHODS['tl']} | {FILM} | 1 | no ulna |" in lines
    assert "Rows of model `a-model`, commit abc, today." in lines


def test_the_page_counts_in_whom_ours_is_nearer(page: ModuleType):
    values = {
        "shape": {"a": 1.0, "b": 2.0, "c": np.nan},
        "tl": {"a": 2.0, "b": 1.0, "c": 1.0},
        MEAN: {"a": 3.0, "b": 3.0, "c": 3.0},
    }
    assert page.nearer(values) == "Ours is nearer in 1 of 2 (TL net), 2 of 2 (mean bone)."


def test_subjects_have_one_value_each_and_failures_stay(page: ModuleType):
    values = page.by_subject([("tl", "a", 1.0), ("tl", "a", 3.0), ("tl", "b", np.nan), ("shape", "b", 4.0)])
    assert list(values) == ["shape", "tl"]
    assert values["tl"]["a"] == 2.0
    assert np.isnan(values["tl"]["b"])
    assert np.isnan(values["shape"]["a"])


def test_work_that_may_hold_shapes_lies_outside_of_the_repository(page: ModuleType, tmp_path):
    from methods_made import REPOSITORY, outside_the_repository

    assert outside_the_repository(str(tmp_path)) == tmp_path.resolve()
    with pytest.raises(argparse.ArgumentTypeError, match="lies in the repository; expected a folder outside of it"):
        outside_the_repository(str(REPOSITORY / "build" / "work"))
