"""The bench of registration: it goes on where it stopped, and its page says what its rows say."""

from __future__ import annotations

from argparse import Namespace

import numpy as np
import pytest

from bonelift.bench import register, register_peers
from bonelift.bench.register import read_rows, run_register_bench
from bonelift.bench.register_report import markdown, record_auc, summary, trust_of
from bonelift.cli import bench, main
from bonelift.film.standard import FILM_SPACING_MM, nominal_camera_from_radius
from bonelift.registration.chart import pose_chart
from bonelift.registration.ct_bone import ct_bone
from bonelift.registration.film_views import FilmView
from bonelift.registration.views import project_bone
from bonelift.study.folder import Study, StudyCase, write_study
from builders.toy_wrist import DEPTH_MM, film_camera, toy_ct

FACTS = {"command": "bonelift bench register", "commit": "abc", "date": "today", "machine": "one", "load": "0",
         "python": "3", "study": "a test", "seed": "1"}  # fmt: skip


def row(group: str = "near", good: int = 1, similarity: float = 0.8, **changes: str) -> dict[str, str]:
    numbers = {"angle_deg": 0.5, "in_plane_mm": 0.1, "depth_mm": 3.0, "target_mm": 3.1, "cpu_s": 2.0, "wall_s": 2.5}
    record = {"similarity": similarity, "overlap": 0.97, "agreeing": 1.0, "slack_deg": 1.5}
    texts = {"case": "c1", "group": group, "bones": "both", "views": "pa", "masks": "1", "mirror": "none",
             "similarity_kind": "local_gradient_correlation", "reach_deg": "10.0"}  # fmt: skip
    return texts | {key: str(value) for key, value in (numbers | record).items()} | {"good": str(good)} | changes


def test_the_area_under_the_curve_is_the_share_of_pairs_in_order():
    rows = [row(similarity=0.9), row(similarity=0.7), row(good=0, similarity=0.8), row(good=0, similarity=0.3)]
    assert record_auc(rows) == 3 / 4
    assert record_auc([*rows, row(good=0, similarity=0.7)]) == (3 + 1 + 0.5) / 6
    assert record_auc(rows[:2]) != record_auc(rows[:2])  # NaN: only one kind


def test_the_summary_counts_what_the_bars_are_about():
    rows = [row(), row(good=0, angle_deg="3.0"), row(bones="ulna", good=0), row(views="pa+lateral", target_mm="0.2")]
    rows += [row(group="capture", good=0, similarity=0.2), row(group="mirror", good=0)]
    told = summary(rows)
    assert told["one_view_good_share"] == 0.5  # neither the ulna nor two views belong to that bar
    assert told["two_view_target_mm"] == pytest.approx(0.2)
    assert told["record_trials"] == 5
    assert told["trusted_but_bad"] == 2
    assert told["good_but_not_trusted"] == 0
    undecided = summary(
        [*rows, row(good=0, bones="ulna", slack_turn_deg="3.5"), row(bones="radius", slack_turn_deg="3.5")]
    )
    assert undecided["trusted_but_bad"] == 2
    assert (undecided["turn_undecided"], undecided["turn_undecided_and_bad"]) == (2, 1)
    assert trust_of(rows[0]) > 0.5 > trust_of(row(similarity=0.2))


def test_the_page_has_a_table_for_each_question():
    rows = [row(), row(views="pa+lateral"), row(group="capture", reach_deg="45.0"), row(group="mirror", mirror="side")]
    page = markdown(rows, FACTS)
    assert "| 100 % of 1 |" in page
    for title in ("Starts nearby", "Capture range", "Mirrored bones"):
        assert f"## {title}" in page
    assert "Without a mask" not in page  # not measured


def test_a_peer_stands_beside_ours_where_it_was_measured(tmp_path, monkeypatch):
    peers = [row(method=method, good=good) for method, good in (("bonelift", 1), ("nanodrr", 0), ("nanodrr", 1))]
    page = markdown([row()], FACTS | {"nanodrr": "9.9"}, peers)
    assert "nanodrr 9.9" in page
    assert "| bonelift | 1 | 100 %" in page
    assert "| nanodrr | 2 | 50 %" in page
    assert "nanodrr" not in markdown([row()], FACTS)

    study, out = tmp_path / "study", tmp_path / "out"
    study.mkdir()
    write_study(study, Study((StudyCase("c1", "c1", "right", "ct", "labels", "", ()),), "a test"))
    monkeypatch.setattr(register, "run_register_bench", lambda *_: [row()])
    asked: list[str] = []

    def measured(patient: str, method: str, seed: int):
        asked.append(method)
        return row(case=patient, method=method)

    monkeypatch.setattr(register_peers, "read_trial_patient", lambda folder, case, seed: case.case)
    monkeypatch.setattr(register_peers, "_row", measured)
    monkeypatch.setattr(register_peers, "installed_version", lambda: None)
    options = Namespace(study=study, out=out, groups=["near"], patients=None, seed=1, peers=True)
    out.mkdir()
    assert "no peer was measured" in bench.measure_register(options)[1]
    monkeypatch.setattr(register_peers, "installed_version", lambda: "9.9")
    for _ in range(2):  # the second time nothing is left to measure
        assert "no peer" not in bench.measure_register(options)[1]
    assert asked == list(register_peers.METHODS)
    assert "## Beside nanodrr" in (out / "registration.md").read_text()


@pytest.mark.skipif(register_peers.installed_version() is None, reason="nanodrr and einops are not installed")
def test_the_peer_sees_the_same_geometry_as_we_do():
    ct, labels = toy_ct()
    bone, camera = ct_bone(ct, labels, "both"), film_camera()
    pose = nominal_camera_from_radius(camera, "pa", DEPTH_MM)
    image = project_bone(bone.fine, camera, pose[None])[0]
    film = FilmView(image, camera, image > 0.02, FILM_SPACING_MM)
    chart = pose_chart(camera, pose, bone.fine.centre_mm)
    start = chart.poses(np.array([[0.05, -0.04, 0.06, 3.0, -4.0, 10.0]]))[0]
    step = chart.parameters(register_peers.register_with_nanodrr(bone, film, start))
    # Its own projection is off from ours by under 1 %; pixels of 1 mm (2 of the film's) bind it to a fifth of one, and
    # half a pixel of it would be a mistake in the geometry.
    assert np.linalg.norm(step[3:5]) < 0.2
    assert np.rad2deg(np.linalg.norm(step[:3])) < 2.0


def test_an_interrupted_bench_goes_on_after_the_last_patient(tmp_path, monkeypatch):
    cases = [StudyCase(name, name, "right", "ct", "labels", "", ()) for name in ("c1", "c2")]
    study, out = tmp_path / "study", tmp_path / "out"
    study.mkdir()
    write_study(study, Study(tuple(cases), "a test"))
    asked: list[str] = []

    def one_patient(patient: str, trials: list[register.Trial], seed: int):
        asked.append(patient)
        if asked == ["c1", "c2"]:
            raise KeyboardInterrupt
        return [
            row() | {"case": patient} | {k: str(v) for k, v in register.columns_of(trial).items()} for trial in trials
        ]

    monkeypatch.setattr(register, "read_trial_patient", lambda folder, case, seed: case.case)
    monkeypatch.setattr(register, "run_patient", one_patient)
    with pytest.raises(KeyboardInterrupt):
        run_register_bench(study, out, ["near"])
    rows = run_register_bench(study, out, ["near"])
    assert asked == ["c1", "c2", "c2"]
    assert [r["case"] for r in rows] == ["c1"] * 7 + ["c2"] * 7
    assert rows == read_rows(out / "registration.csv")
    table = out / "registration.csv"
    kept = [line for line in table.read_text().splitlines(True) if ",ulna" not in line]
    table.write_text("".join(kept))
    assert len(run_register_bench(study, out, ["near"])) == 14  # what was taken out is measured again
    assert asked == ["c1", "c2", "c2", "c1", "c2"]
    assert main(["bench", "register", str(study), "--out", str(out), "--groups", "near", "--quiet"]) == 0
    assert "100 % of 6" in (out / "registration.md").read_text()
    assert main(["bench", "register", str(study), "--out", str(out), "--seed", "2"]) == 2  # begun with another seed
