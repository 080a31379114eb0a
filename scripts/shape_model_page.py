"""docs/results/shape-model.md from the numbers of report_shape_model.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Measurement: what it is called, the published values (sources in the page's last section).
PUBLISHED = {
    "radial_inclination_deg": ("radial inclination, deg", "24.1 ± 3.0 (3D CT, 37 pairs); 22.8 ± 1.5; 24.0 ± 3.8"),
    "palmar_tilt_deg": ("palmar tilt, deg", "10.8 ± 3.5 (3D CT); 10.5 ± 1.0; 13.8 ± 4.4"),
    "radial_height_mm": ("radial height, mm", "12.8 ± 1.7 (3D CT); 11.3 ± 1.7"),
    "ulnar_variance_mm": ("ulnar variance, mm", "-0.9 ± 1.8 (CT, 70); -0.5 ± 1.2; +0.6"),
    "radius_width_mm": ("radius width (styloid to volar notch edge), mm", "27.1 ± 1.2"),
    "radius_depth_mm": ("radius depth (dorsal to volar rim), mm", "18.7 ± 1.1"),
    "ulnar_head_diameter_mm": ("ulnar head diameter (least calliper), mm", "15.8 ± 1.5"),
    "ulnar_head_radius_mm": ("ulnar head radius, mm", "8.2 ± 1.3"),
    "sigmoid_notch_radius_mm": ("sigmoid notch radius, mm", "18.2 ± 8.5"),
    "ulnar_head_offset_mm": ("ulnar head offset, mm", "3.9 ± 0.8"),
    "palmar_cortical_angle_medial_deg": ("palmar cortical angle, medial, deg", "148.3 ± 6.8"),
    "palmar_cortical_angle_lateral_deg": ("palmar cortical angle, lateral, deg", "156.1 ± 7.0"),
}
BANDS = ("1", "2-5", "6-20", "21-80")


def page(numbers: Mapping[str, Any]) -> str:
    """The whole page as Markdown."""
    shares, spread = numbers["mode_shares"], numbers["uniformity"]
    sized = numbers["shares_with_size"]
    sections = [
        INTRODUCTION,
        "## Population against published morphometry\n\n" + _population(numbers["population"]),
        f"First mode's share of the variance, z >= -40 mm. Plain PCA of the wrists above, size kept: "
        f"radius {sized['radius'][0]:.0%}, ulna {sized['ulna'][0]:.0%}; published about 37 % (86 "
        "subjects; we take it to include size). Of the packaged modes, scale taken out and covariance tapered: "
        f"{shares['radius'][0]:.0%} and {shares['ulna'][0]:.0%}.",
        "Smallest distance between radius and ulna of a wrist: least {:.2f}, median {:.2f}, greatest {:.2f} mm.".format(
            *numbers["joint_gap_mm"]
        ),
        "## How uniform is it?\n\nMean bone of the population laid rigidly on single bones, z >= -40 mm, ASD (paper's "
        "formula), mm:\n\n"
        + _uniformity(spread)
        + "\n\nThe project's trial on nine real radii gave 0.68, over the distal 27 mm only: not the same test.",
        "Spread as a share of the mean: size {size:.1%}, width {width:.1%}, depth {depth:.1%} (published: width 4.4 %, "
        "depth 5.9 %). Correlation of size with width {size_with_width:.2f}, of width with depth "
        "{width_with_depth:.2f}, of the thickness (cube root of the volume) of radius and ulna "
        "{radius_with_ulna:.2f}.".format(**numbers["relative_spread"]),
        "## Real bones that the population never saw\n\n" + LEFT_OUT + _left_out(numbers["left_out"]),
        "## Specificity\n\n" + _specificity(numbers["specificity"]),
        "## Landmarks found on a surface without correspondences\n\n" + _automatic(numbers["automatic"]),
        PICTURES,
        SOURCES,
        f"Bones left out: {numbers['left_out_made_by']}; population (seeds from 1,100,000, unseen from 1,200,000). "
        f"The rest: {numbers['made_by']}.{numbers.get('not_remade', '')}",
    ]
    return "\n\n".join(sections) + "\n"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows]]
    return "\n".join(lines)


def _population(population: Mapping[str, Any]) -> str:
    rows = [
        [name, f"{population[key][0]:.1f} ± {population[key][1]:.1f}", str(population[key][2]), published]
        for key, (name, published) in PUBLISHED.items()
    ]
    return _table(["quantity", "virtual: mean ± SD", "n", "published, adults"], rows)


def _uniformity(spread: Mapping[str, Any]) -> str:
    rows = [[bone, *(f"{value:.2f}" for value in values)] for bone, values in spread.items()]
    return _table(["bone", "mean", "least", "greatest"], rows)


def _left_out(results: Mapping[str, Any]) -> str:
    rows = []
    for bone, left_out in results.items():
        unseen = next(row for row in left_out if row["bone"] == "unseen virtual")
        real = [row for row in left_out if row is not unseen]
        used = [row for row in real if row["used"]]
        rows += [
            _left_out_cells(f"{bone} {row['bone']}{'' if row['used'] else ' (not learned from)'}", row) for row in real
        ]
        columns = ("others_mean_mm", "virtual_mean_mm", *BANDS, "fitted_mm")
        mean = {name: sum(row[name] for row in used) / len(used) for name in columns}
        rows.append([f"**{cell}**" if cell else "" for cell in _left_out_cells(f"{bone}, mean of {len(used)}", mean)])
        rows.append(_left_out_cells(f"{bone}, unseen virtual", unseen))
    head = ["bone left out", "length, mm", "mean of the others", "virtual mean"]
    return _table([*head, *(f"modes {band}" for band in BANDS), "80 modes fitted"], rows)


def _left_out_cells(name: str, row: Mapping[str, Any]) -> list[str]:
    long = ("" if row["long_mm"] < 99 else "over ") + f"{row['long_mm']:.0f}" if "long_mm" in row else ""
    others = f"{row['others_mean_mm']:.2f}" if "others_mean_mm" in row else ""
    codes = [f"{row[band]:.1f}" for band in BANDS]
    return [name, long, others, f"{row['virtual_mean_mm']:.2f}", *codes, f"{row['fitted_mm']:.2f}"]


def _specificity(distances: Mapping[str, Any]) -> str:
    rows = [
        [f"{bone}, {name}", *(f"{value:.2f}" for value in values)]
        for bone, kinds in distances.items()
        for name, values in kinds.items()
    ]
    return (
        "Mean distance to the nearest real bone that reaches z = -42 mm, laid rigidly, size kept, one way, mm. A "
        "virtual bone must be about as far from its nearest real one as real bones are from each other.\n\n"
        + _table(["bone", "mean", "least", "greatest"], rows)
    )


def _automatic(automatic: Mapping[str, Any]) -> str:
    marks = [
        [name.replace("_", " "), f"{mean:.2f}", f"{p95:.2f}"] for name, (mean, p95) in automatic["landmarks_mm"].items()
    ]
    effects = [
        [PUBLISHED[name][0], f"{mean:.2f}", f"{p95:.2f}"] for name, (mean, p95) in automatic["measurements"].items()
    ]
    return (
        "Searched from the mean wrist's positions, against the landmark found by the same far-point search from the "
        "vertex that the deformation carried along. So this is the error of not knowing where to search, not of the "
        "definition, which is shared; it is a lower bound. Virtual wrists, mm. Lister's tubercle and the volar rim "
        "are sometimes missed by a whole feature (see the 95th percentile).\n\n"
        + _table(["landmark", "mean", "95th percentile"], marks)
        + "\n\nWhat that does to the measurements (absolute change):\n\n"
        + _table(["quantity", "mean", "95th percentile"], effects)
    )


INTRODUCTION = """# The shape model, measured

Made by `scripts/report_shape_model.py`; the model and its sources: `src/bonelift/anatomy/SHAPE_MODEL_CARD.md`."""

LEFT_OUT = """\
The shape model is built without the bone's subject, 300 wrists are drawn from it, and 80 principal modes of
them are laid on the bone, pose free and size kept. Distances are means from the real surface (z >= -40 mm,
clear of the open end), mm, after rigid alignment. "Modes": mean square of the standardised codes in a band; a
bone of the population has 1 on average, and the row "unseen virtual" (16 wrists) shows what 300 wrists make of
that: fine modes of a sample are a little too small for the next wrist. Where a bone is short, a band is divided
by what its surface fixes of it.

How far this is a test: the settings of `population.py` (some ten scalars for all bones) were set on these same
bones, each left out, by the predictive likelihood of their distances and by this table. No bone's shape is in
its own row's model, but the template's triangulation comes from an older model that saw most of them. The bones
are 8 radii and 10 ulnae, so a mean over bones of a band has an uncertainty of about 50 % in mode 1 and 15 to 25
% in the others. Before the calibration the same bands stood at 0.4, 0.7 to 1.7, 1.5 to 6.7 and 2.4 to 8.9.

What it says. Every band of both bones lies between 0.5 and 2, but for mode 1 of the radii (2.2). Mode 1 is size, and
three of the eight radii make the 2.2: the bones at hand spread wider than published, and the published spread was
kept. CT surfaces have more in modes 21-80 (1.5 to 3.2) than the meshes with steps (0.8 to 2.1), so fine detail is, if
anything, still too tame. The virtual mean is 0.02 mm farther from a left-out radius, and 0.02 mm farther from a left-
out ulna, than the mean of the other real bones. Up to `virtual-5` it was 0.07 and 0.06 mm farther: the named means
(palmar tilt, flare, depth, width, inclination, head) then stood at the published ones, and now they stand about 0.4
of the way from our bones to these.

The radius Py2d3d_01 has no styloid to speak of; no model learned from it, and its row shows what such a bone looks
like. Meshes of the Py2d3d source have 1.7 mm edges and steps: they are fitted less closely, and CT surfaces are the
witnesses of detail.

"""

PICTURES = """## Pictures

![The mean wrist and its first two modes](shape-model-modes.png)

The mean, and modes 1 and 2 of both bones at two standard deviations; palmar, dorsal, ulnar and distal views.

![Six virtual wrists](shape-model-samples.png)

Six virtual wrists, unselected. Looked at: styloids, Lister's tubercle, both joint facets, sigmoid notch, ulnar head and
fovea are there in each."""

SOURCES = """## How to read the first table

- **Tuned, so agreement or its lack is by construction**: means of palmar tilt, inclination, width, depth,
  ulnar-head diameter, ulnar variance and palmar cortical angle (now between our bones' and the published), and
  the spreads of size, width, depth and ulnar variance, were set while looking at this table (100 of the same
  seeds, from 1,000,000 on). Six settings were tried.
- **Definitions chosen with the values in view**: ulnar head diameter (first the width across x, which gave 18.3
  mm, now the least calliper), sigmoid notch radius (first a window between the landmarks, which found a hollow
  in half of the wrists, now the hull's bridge), planes of the palmar cortical angle (the first medial one
  missed the shaft in most wrists), radius width and depth. Agreement there is weak evidence: studies define
  them differently, and we took what fits.
- **Neither tuned nor chosen**: ulnar head radius, ulnar head offset, radial height (low).
- Palmar tilt of the real bones' mean, by our definition and shaft axis (25 to 60 mm), is 4 degrees; the
  population is turned half-way towards the published mean, away from our own few bones.
- The spread of width is still a little above the published one. Six real radii spread by 8 % in width and
  5 to 6 % in size, more than published: their codes of mode 1 say that the population is narrower than they are.
- The palmar cortical angle spreads about twice as wide as published, with a tail above 170 degrees (16th to
  84th percentile about 143 to 158 medial, 145 to 169 lateral): slopes over 8 mm follow the fine random field. Five
  real radii measured in the same way spread by 6 degrees.
- Published values are those gathered in the project's design: 3D CT of 37 pairs, radiographs of 150 and 400
  wrists, CT of 70."""
