"""``bonelift demo``: the packaged radiograph, reconstructed and compared with its truth."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from pathlib import Path

from bonelift import RESEARCH_NOTICE
from bonelift.cli.arguments import add_report_options
from bonelift.cli.console import console_for
from bonelift.cli.warm_up import KernelWarmUp, kernels_compiling

EPILOG = """\
The radiograph is simulated, of a virtual patient that no network has seen.

  bonelift demo --out demo-result"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--out", metavar="DIR", type=Path, default=Path("bonelift-demo"), help="folder for the result")
    parser.add_argument(
        "--model", metavar="DIR", type=Path, help="folder of a trained model (default: the packaged one)"
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    add_report_options(parser)


def run(options: Namespace) -> int:
    with kernels_compiling() as kernels:
        _reconstruct_case(options, kernels)
    return 0


def _reconstruct_case(options: Namespace, kernels: KernelWarmUp) -> None:
    # Imported now for the reason given in bonelift.cli.reconstruct.
    from bonelift.cli.reconstruction import STEP_COUNT, report_extras, run_job
    from bonelift.reconstruction.against_truth import compare_with_truth
    from bonelift.reconstruction.demo_case import load_demo_case
    from bonelift.reconstruction.measured import measure_bones
    from bonelift.reconstruction.save import save
    from bonelift.storage.output_folder import output_folder

    console, extras = console_for(options), report_extras(options)
    case = load_demo_case()
    with output_folder(options.out) as folder, console.bar(STEP_COUNT, "demo") as bar:
        result = run_job([case.image], options.model, options.device, kernels, bar)
        truth = None if result.bones is None else compare_with_truth(result.bones.surfaces, case.truth, case.mean_bone)
        save(result, folder, truth, measure_bones(case.truth), extras)
    values = {"out": str(options.out), "quality": result.quality.score, "seconds": sum(result.timings_s.values())}
    lines = [f"{options.out}: quality {result.quality.score:.2f} ({values['seconds']:.1f} s)"]
    if truth is not None:
        rows = {
            "as predicted": (truth.as_predicted, truth.mean_bone),
            "after rigid alignment": (truth.after_rigid_alignment, truth.mean_bone_aligned),
        }
        values["distances"] = {
            how: {name: {"reconstruction": asdict(found[name]), "mean bone": asdict(mean[name])} for name in found}
            for how, (found, mean) in rows.items()
        }
        lines += [
            f"  {name:<7}{how:<22} ASD {found[name].asd_surface_mm:5.2f} mm (mean bone {mean[name].asd_surface_mm:.2f})"
            for how, (found, mean) in rows.items()
            for name in found
        ]
    lines += [f"  {flag.severity}: {flag.text}" for flag in result.quality.flags]
    lines += [f"  open {options.out / 'report.html'}", RESEARCH_NOTICE]
    console.result(values, "\n".join(lines))
