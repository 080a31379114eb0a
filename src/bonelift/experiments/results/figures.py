"""The figures of Shiode et al. 2021, drawn from a run folder alone. Films are shown as right wrists, upright."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bonelift.errors import InputError
from bonelift.experiments.results.affine_sheets import write_affine_sheets
from bonelift.experiments.results.tables import Tests, chosen, four_inputs, patient_values
from bonelift.experiments.run.folder import RunPaths
from bonelift.experiments.scores import SOURCES, CaseRow, TranslationRow
from bonelift.experiments.surface_scores import ALIGNMENTS
from bonelift.extras import missing
from bonelift.reconstruction.bones import BONES
from bonelift.report.bone_views import render_error_maps
from bonelift.report.palette import INK, PAPER, lettering, png_bytes
from bonelift.storage.whole import whole_file, write_whole
from bonelift.surface.mesh import TriangleMesh

Pictures = Mapping[str, NDArray[Any]]

COLOURS = {"CT-DRR": "#3b6ea8", "GAN-DRR": "#d98b2b", "registration-DRR": "#4f9a6f", "histogram-matched": "#a35a86"}
FIGURE_WIDTH_IN = 9.0
_MAE_SCALE = 0.3
"""Share of the DRR's range at which an MAE map is darkest."""
_LARGEST_ERROR_MM = 3.0


def pyplot() -> Any:
    """matplotlib without a display. Raises InputError where it is not installed."""
    try:
        matplotlib = importlib.import_module("matplotlib")
        matplotlib.use("Agg")
        return importlib.import_module("matplotlib.pyplot")
    except ImportError:
        raise missing("matplotlib", "drawing figures") from None


def save_figure(figure: Any, path: Path) -> None:
    """A figure of matplotlib as PNG, whole or not at all: a run may be killed while it is written."""
    with whole_file(path) as partial:
        figure.savefig(partial, format="png", dpi=110, facecolor="white", metadata={"Software": None})


def case_pictures(paths: RunPaths, case: str) -> Pictures:
    """Films, DRRs and surfaces that scoring kept of one case; empty where there are none."""
    path = paths.scores(case) / "pictures.npz"
    if not path.is_file():
        return {}
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); delete the case's scores and run again") from error


def draw_figures(
    paths: RunPaths, rows: Sequence[CaseRow], translation: Sequence[TranslationRow], tests: Sequence[Tests]
) -> list[tuple[str, str]]:
    """Write the figures into the run folder; (file name, caption) of those for which there is something to show."""
    paths.figures.mkdir(parents=True, exist_ok=True)
    made: list[tuple[str, str]] = []
    plt = pyplot()

    def add(figure: Any, name: str, caption: str) -> None:
        if figure is None:
            return
        if isinstance(figure, Image.Image):
            write_whole(paths.figures / name, png_bytes(figure))
        else:
            save_figure(figure, paths.figures / name)
            plt.close(figure)
        made.append((name, caption))

    gan = sorted(
        (row for row in translation if row.source == "GAN-DRR" and row.image == 0 and np.isfinite(row.mae)),
        key=lambda row: row.mae,
    )
    if gan:
        best, middle, worst = (case_pictures(paths, gan[at].case) for at in (0, len(gan) // 2, -1))
        add(
            translation_panel(plt, middle),
            "translation.png",
            "Experiment 1, the median patient: the film, its GAN-DRR, the registration-DRR that was to be reached, and "
            "their difference.",
        )
        add(
            mae_maps(plt, best, worst, (gan[0].mae, gan[-1].mae)),
            "mae-maps.png",
            "Absolute error of the GAN-DRR, best and worst patient.",
        )
        add(mae_by_patient(plt, gan), "mae-by-patient.png", "Mean absolute error of the GAN-DRR, a bar a patient.")
        add(
            histogram_matching(plt, middle),
            "histogram-matching.png",
            "The median patient's segmented film, matched to the registration-DRR, and their histograms in the bones.",
        )
        add(
            mae_against_asd(plt, rows, gan),
            "mae-against-asd.png",
            "Does a better translation give a better bone? One point a patient, as predicted.",
        )
    if sheets := write_affine_sheets(paths):
        name = sheets[0].relative_to(paths.figures).as_posix()
        made.append(
            (
                name,
                "A hundred affines of one pair, film above registration-DRR, as pix2pix learned under; "
                f"the other pairs' sheets lie in {paths.figures.name}/affines.",
            )
        )
    for alignment in ALIGNMENTS:
        shown = [test for test in tests if test.alignment == alignment]
        words = "as predicted" if alignment == "as predicted" else "after rigid alignment of each bone"
        add(
            box_plots(plt, rows, shown, alignment),
            f"four-inputs-{alignment.replace(' ', '-')}.png",
            f"Experiment 3, {words}: ASD (the paper's) of the four inputs; brackets: Tukey-Kramer, * p < 0.05, "
            "** p < 0.01, *** p < 0.001; dashes: the mean bone, which needs no image.",
        )
    for source in ("CT-DRR", "GAN-DRR"):
        add(
            error_maps(paths, rows, source),
            f"error-maps-{source}.png",
            f"Distance of the bones reconstructed from {source} to the truth, as predicted: the patient nearest to "
            "the mean, a good one (10th percentile) and the worst.",
        )
    return made


def _show(axes: Any, pixels: NDArray[Any], title: str, high: float, colours: str = "gray") -> Any:
    shown = axes.imshow(np.asarray(pixels, dtype=np.float32), cmap=colours, vmin=0, vmax=high, interpolation="nearest")
    axes.set_title(title, fontsize=9)
    axes.set_axis_off()
    return shown


def translation_panel(plt: Any, pictures: Pictures) -> Any:
    """Film, GAN-DRR, registration-DRR, absolute difference."""
    if "film/gan" not in pictures:
        return None
    true, gan = (pictures[f"film/{name}"].astype(np.float32) for name in ("registration", "gan"))
    high = float(true.max())
    figure, axes = plt.subplots(1, 4, figsize=(FIGURE_WIDTH_IN, 3.2), layout="constrained")
    _show(axes[0], pictures["film/film"], "radiograph", 1.0)
    _show(axes[1], gan, "GAN-DRR", high)
    shown = _show(axes[2], true, "registration-DRR", high)
    figure.colorbar(shown, ax=axes[2], fraction=0.05, label="line integral")
    shown = _show(axes[3], np.abs(gan - true), "absolute error", _MAE_SCALE * high, "magma")
    figure.colorbar(shown, ax=axes[3], fraction=0.05)
    return figure


def mae_maps(plt: Any, best: Pictures, worst: Pictures, maes: tuple[float, float]) -> Any:
    """Absolute error of the best and the worst patient on one colour scale."""
    if "film/gan" not in best or "film/gan" not in worst:
        return None
    errors = [np.abs(p["film/gan"].astype(np.float32) - p["film/registration"]) for p in (best, worst)]
    high = float(max(p["film/registration"].max() for p in (best, worst))) * _MAE_SCALE
    figure, axes = plt.subplots(1, 2, figsize=(0.6 * FIGURE_WIDTH_IN, 3.4), layout="constrained")
    shown = [
        _show(axis, error, f"{name}: MAE {mae:.4f}", high, "magma")
        for axis, error, name, mae in zip(axes, errors, ("best", "worst"), maes, strict=True)
    ]
    figure.colorbar(shown[0], ax=axes, fraction=0.05, label="absolute error")
    return figure


def mae_by_patient(plt: Any, gan: Sequence[TranslationRow]) -> Any:
    """A bar a patient, best first."""
    figure, axis = plt.subplots(figsize=(FIGURE_WIDTH_IN, 2.6), layout="constrained")
    values = [row.mae for row in gan]
    axis.bar(range(1, len(values) + 1), values, color=COLOURS["GAN-DRR"])
    axis.axhline(float(np.mean(values)), color="#202630", linestyle="--", linewidth=1)
    axis.set_xticks(range(1, len(values) + 1, 1 + len(values) // 20))
    axis.set(xlabel="patient, best first; dashes: mean", ylabel="MAE (line integral)")
    axis.spines[["top", "right"]].set_visible(False)
    return figure


def histogram_matching(plt: Any, pictures: Pictures) -> Any:
    """Film in the mask, matched film, registration-DRR, and their distributions inside the mask."""
    if "film/matched" not in pictures:
        return None
    film, matched, true = (pictures[f"film/{n}"].astype(np.float32) for n in ("film", "matched", "registration"))
    inside = matched > 0
    high = float(true.max())
    figure, axes = plt.subplots(1, 4, figsize=(FIGURE_WIDTH_IN, 3.3), layout="constrained", width_ratios=[1, 1, 1, 1.5])
    _show(axes[0], np.where(inside, film, 0), "segmented film", 1.0)
    _show(axes[1], matched, "histogram-matched", high)
    _show(axes[2], true, "registration-DRR", high)
    bins = np.linspace(0, high, 40).tolist()
    for name, values in (("segmented film", film * high), ("histogram-matched", matched), ("registration-DRR", true)):
        colour = COLOURS.get(name, "#808890")
        axes[3].hist(values[inside], bins=bins, histtype="step", density=True, label=name, color=colour)
    axes[3].set(xlabel="line integral (film scaled to it)", yticks=[], ylim=(0, 1.35 * axes[3].get_ylim()[1]))
    axes[3].legend(fontsize=7, frameon=False, loc="upper left")
    axes[3].spines[["top", "right", "left"]].set_visible(False)
    return figure


def mae_against_asd(plt: Any, rows: Sequence[CaseRow], gan: Sequence[TranslationRow]) -> Any:
    """MAE of the GAN-DRR against ASD of the bone made from it."""
    figure, axes = plt.subplots(1, 2, figsize=(FIGURE_WIDTH_IN, 3.0), layout="constrained", sharex=True)
    maes = {row.patient: row.mae for row in gan}
    drawn = 0
    for axis, bone in zip(axes, BONES, strict=True):
        asd = patient_values(chosen(rows, "GAN-DRR", bone, "as predicted", True), "asd_paper_mm")
        points = np.array([(maes[p], value) for p, value in asd.items() if p in maes and np.isfinite(value)])
        title = bone if len(points) else f"{bone}: none reconstructed"
        if len(points) > 2 and np.ptp(points, axis=0).min() > 0:
            title += f", r = {np.corrcoef(points.T)[0, 1]:.2f}"
        if len(points):
            axis.scatter(points[:, 0], points[:, 1], s=18, color=COLOURS["GAN-DRR"])
        drawn += len(points)
        axis.set(xlabel="MAE (line integral)", ylabel="ASD, mm", title=title)
        axis.locator_params(axis="x", nbins=6)
        axis.spines[["top", "right"]].set_visible(False)
    if not drawn:
        plt.close(figure)
        return None
    return figure


def box_plots(plt: Any, rows: Sequence[CaseRow], tests: Sequence[Tests], alignment: str) -> Any:
    """ASD of the four inputs for both bones, with brackets where Tukey-Kramer finds a difference."""
    figure, axes = plt.subplots(1, 2, figsize=(FIGURE_WIDTH_IN, 4.2), layout="constrained", sharey=True)
    drawn = 0
    for axis, test in zip(axes, tests, strict=True):
        groups = four_inputs(rows, test.bone, alignment, "asd_paper_mm")
        kept = [[value for value in groups[source] if np.isfinite(value)] for source in SOURCES]
        drawn += sum(map(len, kept))
        boxes = axis.boxplot(kept, widths=0.55, patch_artist=True, medianprops={"color": "#202630"})
        for box, source in zip(boxes["boxes"], SOURCES, strict=True):
            box.set(facecolor=COLOURS[source], alpha=0.75)
        mean_bone = patient_values(chosen(rows, "mean bone", test.bone, alignment, True), "asd_paper_mm")
        if mean_bone:
            axis.axhline(np.nanmean(list(mean_bone.values())), color="#606870", linestyle="--", linewidth=1)
        _brackets(axis, test, max((max(v) for v in kept if v), default=1.0))
        names = [source if len(source) < 8 else source.replace("-", "-\n") for source in SOURCES]
        axis.set_xticks(range(1, 5), names, fontsize=9)
        axis.set(title=test.bone if any(kept) else f"{test.bone}: none reconstructed", ylabel="ASD, mm")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylim(0, None)  # Once both are drawn: it ends the scaling to what follows, for both.
    if not drawn:
        plt.close(figure)
        return None
    return figure


def _brackets(axis: Any, test: Tests, top: float) -> None:
    height, step = top * 1.04, top * 0.07
    for comparison in test.tukey:
        stars = sum(comparison.p < level for level in (0.05, 0.01, 0.001))
        if not stars:
            continue
        left, right = sorted(SOURCES.index(name) + 1 for name in (comparison.first, comparison.second))  # type: ignore[arg-type]
        axis.plot([left, left, right, right], [height, height + step / 4, height + step / 4, height], "#202630", lw=0.8)
        axis.text((left + right) / 2, height + step / 5, "*" * stars, ha="center", fontsize=9)
        height += step


def error_maps(paths: RunPaths, rows: Sequence[CaseRow], source: str) -> Image.Image | None:
    """Mean, good and worst patient by the ASD of the radius, one row of views each, with a colour bar."""
    part = [
        row
        for row in chosen(rows, source, "radius", "as predicted")
        if row.image == 0 and np.isfinite(row.asd_paper_mm)
    ]
    if not part:
        return None
    part.sort(key=lambda row: row.asd_paper_mm)
    mean = float(np.mean([row.asd_paper_mm for row in part]))
    picked = (
        ("nearest to the mean", min(part, key=lambda row: abs(row.asd_paper_mm - mean))),
        ("good (10th percentile)", part[len(part) // 10]),
        ("worst", part[-1]),
    )
    strips = []
    for words, row in picked:
        pictures = case_pictures(paths, row.case)
        bones, errors = {}, {}
        for bone in BONES:
            if f"{source}/{bone}/vertices" not in pictures:
                continue
            vertices = pictures[f"{source}/{bone}/vertices"].astype(np.float64)
            bones[bone] = TriangleMesh(vertices, pictures[f"{source}/{bone}/faces"])
            errors[bone] = pictures[f"{source}/{bone}/error_mm"].astype(np.float64)
        if bones:
            maps = render_error_maps(bones, errors, "right", px_per_mm=4.0, largest_mm=_LARGEST_ERROR_MM)
            strips.append((f"{words}: radius ASD {row.asd_paper_mm:.2f} mm", maps))
    return _stacked(strips) if strips else None


def _stacked(strips: Sequence[tuple[str, Image.Image]]) -> Image.Image:
    from PIL import ImageDraw

    width = max(picture.width for _, picture in strips)
    sheet = Image.new("RGB", (width, sum(picture.height + 34 for _, picture in strips)), PAPER)
    top = 0
    for words, picture in strips:
        ImageDraw.Draw(sheet).text((8, top + 8), words, fill=INK, font=lettering(18))
        sheet.paste(picture, (0, top + 34))
        top += picture.height + 34
    return sheet
