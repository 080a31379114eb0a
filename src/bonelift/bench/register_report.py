"""The result of ``bonelift bench register`` as Markdown and a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonelift.registration.verdict import Kind, kind_from, trust_from

Row = Mapping[str, str]
Float = NDArray[np.float64]

_HEAD = (
    "| bones | views | n | within 1 mm and 2 deg | angle, deg | in plane, mm | depth, mm | 3D, mm | CPU s | s |",
    "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|",
)


def write_register_report(
    rows: Sequence[Row], folder: Path, facts: Mapping[str, str], peers: Sequence[Row] = ()
) -> None:
    """Write registration.md and, where capture was measured, registration.png beside the table."""
    if any(row["group"] == "capture" for row in rows):
        _draw(rows, folder / "registration.png")
    (folder / "registration.md").write_text(markdown(rows, facts, peers), encoding="utf-8")


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """The numbers that the bars are about."""
    near = [row for row in rows if row["group"] == "near"]
    one_view = [row for row in near if "+" not in row["views"] and not row["bones"].startswith("ulna")]
    two_views = [row for row in near if "+" in row["views"]]
    judged = [row for row in rows if row["group"] in ("near", "capture")]
    return {
        "one_view_good_share": _mean(one_view, "good"),
        "one_view_trials": len(one_view),
        "two_view_target_mm": _mean(two_views, "target_mm"),
        "two_view_trials": len(two_views),
        "median_cpu_s": _median(one_view, "cpu_s"),
        "median_s": _median(one_view, "wall_s"),
        "record_auc": record_auc(judged),
        "record_trials": len(judged),
        "trusted_but_bad": sum(kind_of(row) == "ok" and row["good"] == "0" for row in judged),
        "good_but_not_trusted": sum(kind_of(row) == "failed" and row["good"] == "1" for row in judged),
        "turn_undecided": sum(kind_of(row) == "turn undecided" for row in judged),
        "turn_undecided_and_bad": sum(kind_of(row) == "turn undecided" and row["good"] == "0" for row in judged),
    }


def trust_of(row: Row) -> float:
    return trust_from(float(row["similarity"]), float(row["agreeing"]), float(row["slack_deg"]), _slack_turn_deg(row))


def kind_of(row: Row) -> Kind:
    return kind_from(trust_of(row), _slack_turn_deg(row))


def _slack_turn_deg(row: Row) -> float:
    """Rows measured before this was recorded hold the largest slack about any axis, which stands in for it."""
    return float("nan") if row["bones"] == "both" else float(row.get("slack_turn_deg") or row["slack_deg"])


def record_auc(rows: Sequence[Row]) -> float:
    """Area under the ROC curve of the trust against good or bad; NaN where there is only one kind."""
    trust, good = np.array([trust_of(row) for row in rows]), np.array([row["good"] == "1" for row in rows])
    if good.all() or not good.any():
        return float("nan")
    above = trust[good][:, None] - trust[~good][None]
    return float(((above > 0) + 0.5 * (above == 0)).mean())


def markdown(rows: Sequence[Row], facts: Mapping[str, str], peers: Sequence[Row] = ()) -> str:
    """The page: the bars first, then a table for each question. peers: rows of another package and ours in turn."""
    told = summary(rows)
    patients = len({row["case"] for row in rows})
    lines = [
        "# Registration of CT bones to radiographs: virtual patients",
        "",
        f"`{facts['command']}` at commit {facts['commit']}, {facts['date']}; {facts['machine']}, load {facts['load']}, "
        f"Python {facts['python']}. Study: `{facts['study']}`, {patients} patients; starts and masks of seed "
        f"{facts['seed']}.",
        "",
        "The radiograph shows soft tissue, carpals, noise and a vendor's processing; the CT is cut off 8 to 30 mm "
        "further distal than the film; masks are the true outline moved by 2 px (SD). Errors are of the bone's centre "
        "(in the plane of the first film, along its ray), of the rotation, and of the bone's points in 3D.",
        "",
        "| bar | measured |",
        "|---|---|",
        f"| one view, starts within 10 deg, 10 mm, 30 mm in depth: 95 % within 1 mm in the plane and 2 deg (both bones "
        f"as one, radius) | {100 * told['one_view_good_share']:.0f} % of {told['one_view_trials']} |",
        f"| two views: mean target error in 3D under 0.5 mm | {told['two_view_target_mm']:.2f} mm "
        f"({told['two_view_trials']}) |",
        f"| median under 5 s a bone | {told['median_cpu_s']:.1f} s of processor time on one core; "
        f"{told['median_s']:.1f} s on the clock at the load above |",
        f"| the record tells good from bad | area under ROC {told['record_auc']:.2f} of {told['record_trials']}; "
        f"trusted but bad {told['trusted_but_bad']}, good but failed {told['good_but_not_trusted']}; "
        f"turn undecided {told['turn_undecided']}, of them bad {told['turn_undecided_and_bad']} |",
        "",
        "## Starts nearby",
        "",
        "Median (95th percentile).",
        "",
        *_HEAD,
        *_lines(rows, "near"),
    ]
    lines += _section(
        rows,
        "capture",
        "Capture range",
        "The starts lie this many degrees away, as many mm in the plane and 3 times as many in depth (100 at most).",
        "reach_deg",
    )
    unmasked = "The starts are the same as above; no bone was drawn on the film."
    lines += _section(rows, "no mask", "Without a mask", unmasked, "masks")
    lines += _section(
        rows, "similarity", "Other similarities", "The same starts as the radius above.", "similarity_kind"
    )
    lines += _section(
        rows, "mirror", "Mirrored bones",
        "Here the mirror image was registered from the same start, so the errors mean nothing. From in front, a "
        "bone whose front and back are exchanged looks nearly the same: one view cannot tell them apart, two can.",
        "mirror",
    )  # fmt: skip
    return "\n".join([*lines, *_peer_section(peers, facts)]) + "\n"


def _peer_section(peers: Sequence[Row], facts: Mapping[str, str]) -> list[str]:
    if not peers:
        return []
    lines = [
        "", "## Beside nanodrr", "",
        f"nanodrr {facts.get('nanodrr', '')} and Adam, as its author's `xvr register` runs them, on the CPU and one "
        "thread, in turn with ours: both bones as one, one PA film, the same starts, masks and bones above soft "
        "tissue; once from the start itself and once from the start laid on the drawn outline as ours is. Median (95th "
        "percentile).", "",
        "| method | n | within 1 mm and 2 deg | angle, deg | in plane, mm | depth, mm | 3D, mm | CPU s | s |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]  # fmt: skip
    for method in dict.fromkeys(row["method"] for row in peers):
        part = [row for row in peers if row["method"] == method]
        errors = (f"{_median(part, key):.2f} ({_high(part, key):.2f})" for key in _ERRORS)
        lines.append(
            f"| {method} | {len(part)} | {100 * _mean(part, 'good'):.0f} % | {' | '.join(errors)} | "
            f"{_median(part, 'cpu_s'):.1f} | {_median(part, 'wall_s'):.1f} |"
        )
    return lines


def _section(rows: Sequence[Row], group: str, title: str, text: str, by: str) -> list[str]:
    chosen = [row for row in rows if row["group"] == group]
    if not chosen:
        return []
    lines = ["", f"## {title}", "", text, ""]
    lines += [
        f"| {by} | bones | views | n | within 1 mm and 2 deg | angle, deg | in plane, mm | similarity | trusted |",
        "|---|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for key in dict.fromkeys((row[by], row["bones"], row["views"]) for row in chosen):
        part = [row for row in chosen if (row[by], row["bones"], row["views"]) == key]
        trusted = 100 * np.mean([kind_of(row) == "ok" for row in part])
        medians = " | ".join(f"{_median(part, column):.2f}" for column in ("angle_deg", "in_plane_mm", "similarity"))
        lines.append(
            f"| {' | '.join(key)} | {len(part)} | {100 * _mean(part, 'good'):.0f} % | {medians} | {trusted:.0f} % |"
        )
    return lines


def _lines(rows: Sequence[Row], group: str) -> list[str]:
    chosen = [row for row in rows if row["group"] == group]
    lines = []
    for bones, views in dict.fromkeys((row["bones"], row["views"]) for row in chosen):
        part = [row for row in chosen if (row["bones"], row["views"]) == (bones, views)]
        errors = (f"{_median(part, key):.2f} ({_high(part, key):.2f})" for key in _ERRORS)
        lines.append(
            f"| {bones} | {views} | {len(part)} | {100 * _mean(part, 'good'):.0f} % | {' | '.join(errors)} | "
            f"{_median(part, 'cpu_s'):.1f} | {_median(part, 'wall_s'):.1f} |"
        )
    return lines


_ERRORS = ("angle_deg", "in_plane_mm", "depth_mm", "target_mm")


def _values(rows: Sequence[Row], key: str) -> Float:
    return np.array([float(row[key]) for row in rows])


def _mean(rows: Sequence[Row], key: str) -> float:
    return float(_values(rows, key).mean()) if rows else float("nan")


def _median(rows: Sequence[Row], key: str) -> float:
    return float(np.median(_values(rows, key))) if rows else float("nan")


def _high(rows: Sequence[Row], key: str) -> float:
    return float(np.percentile(_values(rows, key), 95))


def _draw(rows: Sequence[Row], path: Path) -> None:
    """Share of good ends against how far away the start was."""
    import matplotlib.pyplot as plt

    figure, panel = plt.subplots(figsize=(5.0, 3.6), layout="constrained")
    capture = [row for row in rows if row["group"] == "capture"]
    for bones in dict.fromkeys(row["bones"] for row in capture):
        part = [row for row in capture if row["bones"] == bones]
        reaches = sorted({float(row["reach_deg"]) for row in part})
        shares = [100 * _mean([row for row in part if float(row["reach_deg"]) == reach], "good") for reach in reaches]
        panel.plot(reaches, shares, "o-", label=f"{bones}, one PA view, mask drawn")
    panel.set_xlabel("start away by: degrees, mm in the plane, and 3 times that in depth (100 mm at most)")
    panel.xaxis.label.set_fontsize(7)
    panel.set_ylabel("within 1 mm and 2 degrees, %")
    panel.set_ylim(0, 105)
    panel.grid(alpha=0.3)
    panel.legend(fontsize=7)
    figure.savefig(path, dpi=110)
    plt.close(figure)
