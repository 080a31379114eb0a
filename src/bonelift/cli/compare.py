"""``bonelift compare``: distances between two bone surfaces."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from pathlib import Path

from bonelift.cli.console import console_for
from bonelift.surface.comparison import compare_surfaces
from bonelift.surface.files import read_mesh

EPILOG = """\
Without --align the surfaces are compared where they are: both files must share one frame.
With --align rigid the first is laid on the second first, so that only shape is compared;
what is nearest to an open end of the other surface is then left out.

  bonelift compare out/radius.stl truth/radius.stl
  bonelift compare out/radius.stl truth/radius.stl --align rigid --json"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("first", metavar="A", type=Path, help="mesh file (STL, PLY, OBJ, GLB), mm")
    parser.add_argument("second", metavar="B", type=Path, help="mesh file, mm")
    parser.add_argument("--align", choices=["none", "rigid"], default="none", help="lay A on B first (default: none)")


def run(options: Namespace) -> int:
    first, second = read_mesh(options.first), read_mesh(options.second)
    aligned = options.align == "rigid"
    names = (options.first.name, options.second.name)
    distances = compare_surfaces(first, second, options.align, names).distances
    how = "after rigid alignment of A on B" if aligned else "as stored, no alignment"
    values = {"first": options.first.name, "second": options.second.name, "alignment": options.align}
    text = (
        f"{options.first.name} against {options.second.name}, {how}\n"
        f"  ASD, paper's formula   {distances.asd_paper_mm:8.3f} mm   (vertex to nearest vertex, pooled)\n"
        f"  ASD, surface           {distances.asd_surface_mm:8.3f} mm   (area-weighted, to the nearest point)\n"
        f"  HD95                   {distances.hd95_mm:8.3f} mm\n"
        f"  maximum                {distances.maximum_mm:8.3f} mm\n"
        f"  compared               {distances.compared_fraction:8.1%} of the area"
    )
    console_for(options).result({**values, **asdict(distances)}, text)
    return 0
