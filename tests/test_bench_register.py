"""The bench of registration: it goes on where it stopped, and its page says what its rows say."""

from __future__ import annotations

import pytest

from bonelift.bench import register
from bonelift.bench.register import read_rows, run_register_bench
from bonelift.bench.register_report import markdown, record_auc, summary, trust_of
from bonelift.cli import main
from bonelift.study.folder import Study, StudyCase, write_study

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
    assert [r["case"] for r in rows] == ["c1"] * 6 + ["c2"] * 6
    assert rows == read_rows(out / "registration.csv")
    table = out / "registration.csv"
    kept = [line for line in table.read_text().splitlines(True) if ",ulna," not in line]
    table.write_text("".join(kept))
    assert len(run_register_bench(study, out, ["near"])) == 12  # what was taken out is measured again
    assert asked == ["c1", "c2", "c2", "c1", "c2"]
    assert main(["bench", "register", str(study), "--out", str(out), "--groups", "near", "--quiet"]) == 0
    assert "100 % of 6" in (out / "registration.md").read_text()
    assert main(["bench", "register", str(study), "--out", str(out), "--seed", "2"]) == 2  # begun with another seed
