"""Learning curves of a training folder of scripts/train_default_model.py: a picture and a table of its stages.

python scripts/plot_training.py --work runs/default --out docs/results --name training-curves-virtual-3
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

SHOWN = {
    "autoencoder": ("loss", "validation/excess_nats"),
    "predictor": ("loss", "validation/drr_excess_nats"),
    "finetune": ("loss", "validation/drr_excess_nats", "validation/gan_excess_nats"),
    "pix2pix": ("drr_mae", "validation/drr_mae"),
    "locator": ("heatmap", "validation/origin_mm"),
    "shape": ("mm", "validation/drr_radius_rigid_mm", "validation/drr_ulna_rigid_mm"),
    "tuning": ("mm", "validation/film_radius_rigid_mm", "validation/film_ulna_rigid_mm"),
    "shape-films": ("validation/gan_radius_rigid_mm", "validation/gan_ulna_rigid_mm", "validation/film_ulna_rigid_mm"),
}
"""What is drawn of each stage. Training loss holds the entropy of the soft labels, which validation leaves out. A link
named "shape-films" may stand for a second stage of S."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("runs/default"))
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    parser.add_argument("--name", default="training-curves", help="of the two files, without ending")
    arguments = parser.parse_args()
    shown = {stage: names for stage, names in SHOWN.items() if (arguments.work / stage / "curve.jsonl").exists()}
    figure, panels = plt.subplots(1, len(shown), figsize=(4 * len(shown), 3.4), squeeze=False)
    rows = []
    for panel, (stage, names) in zip(panels[0], shown.items(), strict=True):
        curve = [json.loads(line) for line in (arguments.work / stage / "curve.jsonl").read_text().splitlines()]
        for name in names:
            points = [(entry["minutes"], entry[name]) for entry in curve if name in entry]
            if points:
                panel.plot(*zip(*points, strict=True), label=name)
        panel.set(title=stage, xlabel="minutes", yscale="log")
        panel.legend(fontsize=7)
        for entry in curve:
            rows += [
                {"stage": stage, "update": entry["update"], "minutes": entry["minutes"], "name": name, "value": value}
                for name, value in entry.items()
                if name not in ("update", "minutes")
            ]
    figure.tight_layout()
    figure.savefig(arguments.out / f"{arguments.name}.png", dpi=90)
    with (arguments.out / f"{arguments.name}.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["stage", "update", "minutes", "name", "value"])
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
