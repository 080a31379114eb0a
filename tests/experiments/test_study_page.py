"""The page of a study from rows with known numbers: its summary, its failures in words, what is seen at which width."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from bonelift.cli import main
from bonelift.errors import InputError
from bonelift.experiments import evaluate
from bonelift.experiments.evaluate import ExperimentOutcome
from bonelift.experiments.results.study_page import StudyFindings, render_study_page
from bonelift.experiments.results.summary import failure_reasons, summary_bars, summary_sentence
from bonelift.experiments.results.tables import (
    experiment_2,
    experiment_3,
    failures,
    read_rows,
    translation_summary,
    write_rows,
)
from bonelift.experiments.results.tables import (
    tests_of as statistics_of,
)
from bonelift.experiments.run.cost import Cost
from bonelift.experiments.scores import GRID_FLOOR, MEAN_BONE, NAN, SHAPE, SOURCES, CaseRow, TranslationRow
from bonelift.report.page import number
from builders.accessibility import findings

EVIL = '<script>alert("x")</script>'
ASD = {"CT-DRR": 0.6, "GAN-DRR": 0.8, "registration-DRR": 0.7, "histogram-matched": 1.1}
MEAN_ASD = 1.0


def study_rows(patients: int = 6, *, empty: bool = False) -> list[CaseRow]:
    """Half the patients are pairs. The ulna is twice as far off as the radius, S a tenth of a mm nearer than the TL
    network; patient k of n is off by k hundredths. empty: no network made a bone."""
    rows = []
    for k in range(patients):
        pair = k % 2 == 0
        for bone, factor in (("radius", 1), ("ulna", 2)):
            for alignment in ("as predicted", "rigid"):
                place = ("fold-1", f"patient-{k}", f"case-{k}", "right", pair)

                def row(source, method, asd, skill, *, place=place, bone=bone, alignment=alignment) -> CaseRow:
                    note = "no surface" if empty and method in ("model", SHAPE) else ""
                    values = [NAN] * 7 if note else [asd, asd - 0.02, 2 * asd, 3 * asd, 0.9, skill, skill]
                    return CaseRow(*place, source, 0, "pa", bone, method, alignment, *values, note=note)

                for source in SOURCES if pair else ("CT-DRR", "GAN-DRR"):
                    for method, better in (("model", 0.0), (SHAPE, 0.1)):
                        asd = factor * (ASD[source] - better) + 0.01 * k
                        rows.append(row(source, method, asd, 1 - asd / (factor * MEAN_ASD)))
                rows.append(row("none", MEAN_BONE, factor * MEAN_ASD, NAN))
                rows.append(row("none", GRID_FLOOR, 0.17, NAN))
    return rows


def page_of(rows, *, preset: str = "laptop", warnings=(), failed=None) -> str:
    translation = [
        TranslationRow("fold-1", row.patient, row.case, source, 0, 0.02, 0.05, 0.5, 0.04)
        for row in rows
        if row.pair and row.bone == "radius" and row.method == MEAN_BONE and row.alignment == "rigid"
        for source in ("GAN-DRR", "histogram-matched")
    ]
    return render_study_page(
        StudyFindings(
            run={"origin": EVIL, "seed": 7, "versions": {"torch": "2"}, "preset": {"networks": {"name": preset}}},
            folds=2,
            counts={"patients": 6, "cases": 6, "pairs": 3, "others with a film": 3, "rows": len(rows),
                    "failed rows": sum(bool(row.note) for row in rows)},
            first={source: translation_summary(translation, source) for source in ("GAN-DRR", "histogram-matched")},
            second=experiment_2(rows),
            third=experiment_3(rows),
            tests=statistics_of(rows, "asd_paper_mm"),
            failed=failures(rows, translation) if failed is None else failed,
            warnings=warnings,
            costs=[Cost("images", 6, 3600.0, 1024.0)],
            figures=[("four-inputs-rigid.png", EVIL, "data:image/png;base64,"), ("mae-maps.png", "b", "data:,")],
        )
    )  # fmt: skip


def test_rows_are_read_as_they_were_written(tmp_path):
    """Five digits are kept, so the numbers here have no more; what is undefined stays so."""
    rows = study_rows(2) + study_rows(1, empty=True)
    write_rows(tmp_path / "rows.csv", CaseRow, rows)
    again = read_rows(tmp_path / "rows.csv", CaseRow)
    assert [repr(row) for row in again] == [repr(row) for row in _rounded(rows)]
    (tmp_path / "rows.csv").write_text((tmp_path / "rows.csv").read_text().replace("True", "perhaps"))
    with pytest.raises(InputError, match="holds no rows of scores"):
        read_rows(tmp_path / "rows.csv", CaseRow)


def _rounded(rows):
    return [
        replace(row, **{name: float(f"{value:.5g}") for name, value in vars(row).items() if isinstance(value, float)})
        for row in rows
    ]


def test_the_summary_says_what_the_best_network_makes_of_a_film():
    # Those never seen by pix2pix are patients 1, 3, 5: 0.8 - 0.1 + 0.03 mm by S, against 1 mm of the mean bone.
    sentence = summary_sentence(experiment_2(study_rows()), "laptop")
    assert sentence == (
        "From a radiograph, the radius came out 0.73 mm from the truth (mean of 3 patients): 27 % nearer than the mean "
        "bone, which needs no image. From a radiograph, the ulna came out 1.43 mm from the truth (mean of 3 patients): "
        "28 % nearer than the mean bone, which needs no image."
    )
    rows = [row for row in study_rows() if row.source != "GAN-DRR"]
    assert summary_sentence(experiment_2(rows), "laptop").startswith("From a CT-DRR, the radius came out 0.5")


def test_the_summary_of_a_smoke_run_says_why_there_is_nothing():
    """The grid's floor is no network's result, however near it lies."""
    sentence = summary_sentence(experiment_2(study_rows(empty=True)), "smoke")
    assert sentence.startswith("This run only tried the machinery")
    assert "makes empty or shapeless bones" in sentence
    assert "No bone was reconstructed" in sentence
    assert "nearer" not in sentence


def test_the_bars_are_the_means_and_the_mean_bone_beside_them():
    bars = summary_bars(experiment_2(study_rows()))
    assert {bar.kind for bar in bars} == {"film", "drr", "none"}
    assert not any(bar.label.startswith("floor") for bar in bars)
    longest = max(bar.mean_mm for bar in bars)
    for bar in bars:
        assert bar.percent == pytest.approx(100 * bar.mean_mm / longest)
    assert longest == pytest.approx(2 * MEAN_ASD)


def test_failed_rows_are_explained_by_reason():
    failed = [
        ("a", "no surface", 3),
        ("b", "no surface", 4),
        ("c", "the registration-DRR shows no bone on the film", 1),
    ]
    reasons = failure_reasons([*failed, ("d", "the CT has no voxels", 9)])
    assert [(reason.note[:6], reason.rows, reason.cases) for reason in reasons] == [
        ("the CT", 9, ("d",)), ("no sur", 7, ("a", "b")), ("the re", 1, ("c",)),
    ]  # fmt: skip
    assert "learned too little" in reasons[1].words
    assert "landmarks" in reasons[2].words
    page = page_of(study_rows(empty=True), preset="smoke")
    assert "learned too little" in page
    assert "none made" in page


def test_the_command_says_why_rows_failed(monkeypatch, tmp_path, capsys):
    reasons = tuple(failure_reasons([("a", "no surface", 3)]))
    outcome = ExperimentOutcome(6, 0, 3, tmp_path / "report.html", reasons)
    monkeypatch.setattr(evaluate, "run_experiments", lambda *_: outcome)
    assert main(["evaluate", "study", "--run", str(tmp_path), "--preset", "smoke"]) == 0
    said = capsys.readouterr().out
    assert "6 cases scored, 0 cases and 3 rows failed" in said
    assert "no surface: 3 rows. The network's answer has no surface" in said


def test_text_from_outside_is_escaped_and_nothing_is_loaded():
    page = page_of(study_rows(), warnings=[(EVIL, EVIL)], failed=[(EVIL, EVIL, 1)])
    assert EVIL not in page
    assert not re.findall(r'(?:src|href)="(?!data:|#)[^"]*"', page)
    assert "default-src 'none'" in page


def test_a_number_that_rounds_to_nought_has_no_sign():
    assert number(-0.001) == "0.00"
    assert number(-0.006) == "−0.01"


@pytest.mark.parametrize(("width_px", "dark"), [(1400, True), (400, False)])
def test_axe_finds_nothing_and_the_skill_is_seen(tmp_path, width_px, dark):
    page = tmp_path / "report.html"
    page.write_text(page_of(study_rows(), warnings=[("case-1", "a warning")]), encoding="utf-8")
    found, width = findings(page, width_px=width_px, dark=dark, seen=".distances td.skill")
    assert found == []
    assert width <= width_px
