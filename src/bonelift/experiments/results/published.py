"""What Shiode et al. 2021 (Sci Rep 11:15249) report, to stand beside what a study gives."""

from __future__ import annotations

PAPER_ASD_MM: dict[tuple[str, str], tuple[float, float]] = {
    ("CT-DRR", "radius"): (0.72, 0.32),
    ("CT-DRR", "ulna"): (1.03, 0.44),
    ("GAN-DRR", "radius"): (1.05, 0.36),
    ("GAN-DRR", "ulna"): (1.45, 0.41),
    ("registration-DRR", "radius"): (1.06, 0.31),
    ("registration-DRR", "ulna"): (1.47, 0.35),
    ("histogram-matched", "radius"): (1.34, 0.50),
    ("histogram-matched", "ulna"): (1.64, 0.39),
}
"""(source, bone) -> mean and SD of the average surface distance, mm."""

PAPER_MAE, PAPER_MAE_SD, PAPER_RANGE = 0.025, 0.020, 0.20
"""Experiment 1: GAN-DRR against registration-DRR, 33 patients; images from 0 to 0.20."""
PAPER_BEST_MAE, PAPER_WORST_MAE = 0.016, 0.051
