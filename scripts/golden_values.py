"""What the packaged model gives for the packaged film, beside what is kept of it in tests/reconstruction.

    python scripts/golden_values.py [--by-torch]     prints each number that differs
    python scripts/golden_values.py --write          keeps the numbers of this machine, after another model was packaged

--by-torch: the networks run in torch in the place of ONNX Runtime, so that their sums have another order.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from builders.golden import KEPT, TOLERANCES, values_now


def without_onnx_runtime() -> None:
    """As on a machine where it is not installed."""
    found = importlib.util.find_spec
    importlib.util.find_spec = lambda name, package=None: None if name == "onnxruntime" else found(name, package)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--by-torch", action="store_true")
    options = parser.parse_args()
    if options.by_torch:
        without_onnx_runtime()
    now = values_now()
    if options.write:
        KEPT.write_text(json.dumps(now, indent=1) + "\n", encoding="utf-8")
        print(f"{KEPT.name}: {len(now['values'])} numbers of {now['model']}")
        return 0
    kept = json.loads(KEPT.read_text(encoding="utf-8"))
    print(f"{kept['model']} ({kept['weights_sha256'][:12]}), now {now['model']} ({now['weights_sha256'][:12]})")
    largest = 0.0
    for name, (value, unit) in now["values"].items():
        if name not in kept["values"] or kept["values"][name][1] != unit:
            print(f"{name}: not kept")
            continue
        difference = abs(value - kept["values"][name][0])
        largest = max(largest, difference / TOLERANCES[unit])
        if difference:
            print(f"{name}: {difference:.5f} {unit}, of {TOLERANCES[unit]}")
    print(f"largest: {largest:.2f} of its tolerance; {len(now['values'])} numbers")
    return 0 if largest <= 1 and now["values"].keys() == kept["values"].keys() else 1


if __name__ == "__main__":
    sys.exit(main())
