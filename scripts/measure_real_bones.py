"""Score models on the real bones of BONELIFT_DATA: docs/results/real-bones.md and real-bones.csv.

python scripts/measure_real_bones.py                                     the packaged model, essential rows
python scripts/measure_real_bones.py --films --model default \\
    --model runs/a --model runs/b=Manske,Yr4 --control runs/c
python scripts/measure_real_bones.py --films --keep docs/results         the packaged model anew, other rows kept

A model's population must not hold the subject that is scored. Which subjects, or sources, it was built without is read
from its metadata ("population_without") or given after "="; each wrist is scored by the models that left it out ("left
out") and by those of the whole population ("seen"); where there are neither, by the first, as "seen". ``--control`` is
a model of the whole population that was trained like those that left subjects out: what lies between them is what
having seen the subject is worth. ``--keep`` takes the rows of networks that are not scored now from an earlier page's
folder, but for those named by ``--drop``. No surface of a subject leaves the process; covers may be kept in a folder
outside the repository (--cache).
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np
from real_bones_left_out import Network, left_out_section, network_of_model
from reference_bones import NOT_NORMAL, RADIUS_FILES, ULNA_FILES, align_to, read_bone

from bonelift.anatomy.shape_model import load_shape_model
from bonelift.anatomy.statistical_shape import ShapeModel
from bonelift.experiments.real_bones import CoveredBone, RealSurface, RealWrist, cover, mean_of_others, real_wrist
from bonelift.experiments.real_bones_scores import RealBoneRow, Saw, pictures, score_model, score_no_skill
from bonelift.networks.model import WristModel, load_model

SAME_SCAN = ("ControlSample1", "ControlSample2", "Yr4")
"""Subjects whose radius and ulna lie as they were scanned together."""
RESULTS = Path("docs/results")
ROWS_FILE, NETWORKS_FILE = "real-bones.csv", "real-bones-networks.json"
PAGE = r"""# Real bones, left out

{wrists} real wrists ({bones}) of `reference_bones`, each bone at least 25 mm long, looked at with {interiors} drawn
inside(s): as CT-DRR of a virtual CT, and as a simulated film through `reconstruct`. A template covers each bone (mean
distance of the real surface from the cover: {off}); only what the scan shows is scored, for z >= -40 mm at most. Where
a subject's other bone is missing, the mean bone stands beside it. Inside, soft tissue and carpus are virtual.

Surface-to-surface ASD in mm after *rigid* alignment of the bone by itself, then *as predicted* (radius frame, nothing
moved); mean over bones. *Skill* is 1 - ASD / ASD of the mean of the other subjects' bones on the same bones. *Mean at
true size*: that mean bone scaled to the bone: what knowing nothing but the size would give. *Network*: "left out"
means that its population was built without the subject; "seen" that it was not, and then the row is no test of
generalisation.

{table}
{left_out}
## Gain of the CT-DRR

The same PA CT-DRRs times a factor: an absolute scale that no scanner guarantees. ASD after rigid alignment, mm;
network {first}.

{gains}

## Each bone

ASD after rigid alignment, mm; one PA view; mean over insides. \* not a normal bone (it is in no population). *Scored
by*: "seen" or "left out" by each network.

{each}

{made}
"""


def covered_bones(folder: Path, model: ShapeModel, cache: Path | None) -> list[CoveredBone]:
    """The template on every real bone; about 5 s a bone without a cache."""
    key = zlib.crc32(model.radius.mean.vertices.tobytes() + model.ulna.mean.vertices.tobytes())
    kept = cache / f"covers-{key:08x}.npz" if cache else None
    if kept and kept.exists():
        return read_covers(kept)
    covered = []
    for name, files, bone_model in (("radius", RADIUS_FILES, model.radius), ("ulna", ULNA_FILES, model.ulna)):
        for row in files:
            bone = align_to(read_bone(folder, row), bone_model.mean)
            surface = RealSurface(bone.subject, name, bone.mesh, bone.scan_pose, bone.subject in SAME_SCAN)
            covered.append(cover(surface, bone_model))
            print(f"  {name} {bone.subject}: {covered[-1].off_mm:.2f} mm off", file=sys.stderr, flush=True)
    if kept:
        kept.parent.mkdir(parents=True, exist_ok=True)
        save_covers(kept, covered)
    return covered


def save_covers(path: Path, covered: Sequence[CoveredBone]) -> None:
    arrays = {f"{i}/{k}": np.asarray(v) for i, bone in enumerate(covered) for k, v in vars(bone).items()}
    with path.open("wb") as stream:
        np.savez_compressed(stream, **arrays)  # pyright: ignore[reportArgumentType]


def read_covers(path: Path) -> list[CoveredBone]:
    names = [f.name for f in fields(CoveredBone)]
    with np.load(path, allow_pickle=False) as stored:
        count = len(stored.files) // len(names)
        held = [{name: stored[f"{i}/{name}"] for name in names} for i in range(count)]
    return [CoveredBone(**{k: v if v.ndim else v.item() for k, v in bone.items()}) for bone in held]


def read_model_option(text: str) -> Judged:
    """``PATH`` or ``PATH=SUBJECT,SUBJECT``; "default" is the packaged model."""
    path, _, without = text.partition("=")
    model = load_model(None if path == "default" else Path(path))
    known = model.metadata.get("population_without", [])
    return model, set(without.split(",")) if without else set(known)


Judged = tuple[WristModel, set[str]]
"""A model, and the subjects and sources that its population was built without."""


def networks_for(wrist: RealWrist, models: Sequence[Judged]) -> list[tuple[WristModel, Saw]]:
    """The models that left the subject or its source out, and those that left nobody out ("seen"); the first, as
    "seen", where there are neither."""
    names = {wrist.subject, *(row.source for row in (*RADIUS_FILES, *ULNA_FILES) if row.subject == wrist.subject)}
    blind: list[tuple[WristModel, Saw]] = [(model, "left out") for model, without in models if names & without]
    whole: list[tuple[WristModel, Saw]] = [(model, "seen") for model, without in models if not without]
    return [*whole, *blind] or [(models[0][0], "seen")]


def network_of(row: RealBoneRow) -> str:
    """Rows of one network; those that left subjects out are one, for each scores the subjects that it left out."""
    if row.source == "none":
        return ""
    return "left out" if row.saw == "left out" else f"{row.model}, {row.saw}"


def mean_of(rows: Sequence[RealBoneRow], key: str = "asd_surface_mm") -> float:
    values = np.array([getattr(row, key) for row in rows])
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *lines))


def main_table(rows: Sequence[RealBoneRow]) -> str:
    """A line for each source, method and network."""
    keys = dict.fromkeys((r.source, r.method, network_of(r)) for r in rows if r.gain == 1.0)
    lines = []
    for source, method, network in sorted(keys, key=lambda k: (k[0] != "none", k[:2])):
        chosen = [r for r in rows if (r.source, r.method, network_of(r), r.gain) == (source, method, network, 1.0)]
        line = [source, method, network]
        for bone in ("radius", "ulna"):
            of_bone = [r for r in chosen if r.bone == bone]
            if not of_bone:
                line += ["", "", ""]
                continue
            rigid = [r for r in of_bone if r.alignment == "rigid"]
            same = {(r.subject, r.bone) for r in rigid}
            no_skill = mean_of(
                [
                    r
                    for r in rows
                    if r.method == "mean of the others" and r.alignment == "rigid" and (r.subject, r.bone) in same
                ]
            )
            skill = 1 - mean_of(rigid) / no_skill
            share = "" if method == "mean of the others" else f"{100 * skill:.0f} %"
            count = len({r.subject for r in rigid if np.isfinite(r.asd_surface_mm)})
            predicted = mean_of([r for r in of_bone if r.alignment == "as predicted"])
            line += [f"{mean_of(rigid):.2f} ({count})", share, f"{predicted:.2f}"]
        lines.append(line)
    head = ["input", "method", "network", "radius, rigid (n)", "skill", "as predicted"]
    return _table([*head, "ulna, rigid (n)", "skill", "as predicted"], lines)


def first_network(rows: Sequence[RealBoneRow]) -> str:
    return next(network_of(r) for r in rows if r.source != "none")


def gain_table(rows: Sequence[RealBoneRow]) -> str:
    gains = sorted({r.gain for r in rows})
    first = first_network(rows)
    chosen = [r for r in rows if r.source == "CT-DRR PA" and r.alignment == "rigid" and network_of(r) == first]
    lines = [
        [bone, *(f"{mean_of([r for r in chosen if r.bone == bone and r.gain == gain]):.2f}" for gain in gains)]
        for bone in ("radius", "ulna")
    ]
    return _table(["gain", *(f"{gain:g}" for gain in gains)], lines)


def each_table(rows: Sequence[RealBoneRow]) -> str:
    """A line for each bone."""

    def cell(subject: str, bone: str, wanted: Callable[[RealBoneRow], bool]) -> str:
        chosen = [
            r for r in rows if (r.subject, r.bone, r.alignment, r.gain) == (subject, bone, "rigid", 1.0) and wanted(r)
        ]
        return f"{mean_of(chosen):.2f}" if chosen else ""

    networks = list(dict.fromkeys(network_of(r) for r in rows if r.source != "none"))
    sources = [source for source in ("CT-DRR PA", "film PA") if any(r.source == source for r in rows)]
    lines = []
    for subject, bone, above in sorted(
        {(r.subject, r.bone, r.scored_above_mm) for r in rows}, key=lambda k: (k[1], k[0])
    ):
        judged = {f"{r.model} {r.saw}" for r in rows if r.subject == subject and r.source != "none"}
        lines.append(
            [
                f"{bone} {subject}{' *' if subject in NOT_NORMAL[bone] else ''}",
                f"{above:.0f}",
                cell(subject, bone, lambda r: r.method == "mean of the others"),
                cell(subject, bone, lambda r: r.method == "the same at true size"),
                *(
                    cell(subject, bone, lambda r, s=source, n=network: r.source == s and network_of(r) == n)
                    for source in sources
                    for network in networks
                ),
                ", ".join(sorted(judged)),
            ]
        )
    of_networks = [f"{source} ({network})" for source in sources for network in networks]
    return _table(["bone", "z above, mm", "mean of others", "at true size", *of_networks, "scored by"], lines)


def page(rows: Sequence[RealBoneRow], wrists: Sequence[RealWrist], interiors: int, left_out: str, made: str) -> str:
    counts = {bone: sum(bone in wrist.scored_above_mm for wrist in wrists) for bone in ("radius", "ulna")}
    off = [value for wrist in wrists for value in wrist.off_mm.values()]
    return PAGE.format(
        wrists=len(wrists),
        bones=f"{counts['radius']} radii, {counts['ulna']} ulnae",
        interiors=interiors,
        off=f"{min(off):.2f} to {max(off):.2f} mm",
        table=main_table(rows),
        left_out=left_out,
        first=first_network(rows),
        gains=gain_table(rows),
        each=each_table(rows),
        made=made,
    )


def read_rows(path: Path) -> list[RealBoneRow]:
    numbers = {field.name: {"float": float, "int": int}.get(str(field.type), str) for field in fields(RealBoneRow)}
    with path.open(newline="", encoding="utf-8") as stream:
        return [RealBoneRow(**{k: numbers[k](v) for k, v in row.items()}) for row in csv.DictReader(stream)]


def read_networks(path: Path) -> list[Network]:
    stored = json.loads(path.read_text(encoding="utf-8"))
    return [Network(**{**network, "without": tuple(network["without"])}) for network in stored]


def write_results(out: Path, rows: Sequence[RealBoneRow], networks: Sequence[Network]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    with (out / ROWS_FILE).open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, [f.name for f in fields(RealBoneRow)])
        writer.writeheader()
        writer.writerows(
            {k: round(v, 4) if isinstance(v, float) else v for k, v in asdict(row).items()} for row in rows
        )
    lines = ",\n".join(json.dumps(asdict(network)) for network in networks)
    (out / NETWORKS_FILE).write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def _shown_arguments() -> list[str]:
    """The command line without folders of this machine."""
    return [Path(word).name if word.startswith("/") else word for word in sys.argv[1:]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", action="append", default=None, metavar="PATH[=SUBJECT,...]")
    parser.add_argument(
        "--control", metavar="PATH", help="a model of all subjects, trained like those that left some out"
    )
    parser.add_argument("--films", action="store_true", help="simulated films, too (8 s a wrist and inside)")
    parser.add_argument("--interiors", type=int, default=1, help="drawn insides of each wrist")
    parser.add_argument("--subjects", nargs="*", help="only these")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="earlier results, whose other networks stay")
    parser.add_argument("--drop", nargs="*", default=[], metavar="NAME", help="networks of --keep that do not")
    parser.add_argument("--cache", type=Path, help="folder, outside the repository, for the covers")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    started = time.time()
    shape_model = load_shape_model()
    covered = covered_bones(Path(os.environ["BONELIFT_DATA"]) / "reference_bones", shape_model, options.cache)
    models = [read_model_option(text) for text in options.model or ["default"]]
    if options.control:
        models.append(read_model_option(options.control))
    subjects = sorted({bone.subject for bone in covered})
    rows: list[RealBoneRow] = []
    wrists = []
    for subject in subjects:
        wrist = real_wrist(subject, covered, shape_model, np.random.default_rng(sum(subject.encode())))
        if wrist is None or (options.subjects and subject not in options.subjects):
            continue
        wrists.append(wrist)
        rows += score_no_skill(wrist, mean_of_others(subject, covered, shape_model))
        for interior in range(options.interiors):
            shown = pictures(wrist, interior, options.films)
            for model, saw in networks_for(wrist, models):
                rows += score_model(wrist, shown, interior, model, saw)
        print(f"{subject}: {time.time() - started:.0f} s", file=sys.stderr, flush=True)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    made = (
        f"Made by `scripts/measure_real_bones.py` ({' '.join(_shown_arguments())}) at commit {commit.stdout.strip()}, "
        f"{time.strftime('%Y-%m-%d')}, {platform.machine()}, {os.cpu_count()} cores, {time.time() - started:.0f} s. "
        f"Models: {', '.join(model.name for model, _ in models)}."
    )
    networks = [
        network_of_model(model, without, bool(options.control) and model is models[-1][0]) for model, without in models
    ]
    if options.keep:
        gone = {"", *(network.name for network in networks), *options.drop}
        others = [network for network in read_networks(options.keep / NETWORKS_FILE) if network.name not in gone]
        networks += others
        rows += [row for row in read_rows(options.keep / ROWS_FILE) if row.model not in gone]
        made += f" Kept as they were: the rows of {', '.join(network.name for network in others)}."
    write_results(options.out, rows, networks)
    text = page(rows, wrists, options.interiors, left_out_section(rows, networks), made)
    (options.out / "real-bones.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
