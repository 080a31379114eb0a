"""Tabulate tube spectra and mass attenuation for ``bonelift.phantom.spectrum``.

Simulating then needs neither of the two libraries.

Run from the repository root: ``python scripts/build_xray_tables.py`` (needs the ``train`` extra; takes some seconds).

Spectra: SpekPy 2 (Poludniowski et al. 2021, Med Phys 48:3630), tungsten anode, 12 degrees, no filtration, 1 keV bins.
Attenuation: xraydb 4.5 (Elam et al. 2002, Radiat Phys Chem 63:121), total (photo + coherent + incoherent) cross
sections. Compositions by mass: ICRU Report 44 (soft tissue, adipose tissue, cortical bone); hydroxyapatite
Ca10(PO4)6(OH)2 for bone mineral.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import spekpy
import xraydb

OUTPUT = Path(__file__).resolve().parents[1] / "src" / "bonelift" / "phantom" / "xray_tables.npz"
KILOVOLTAGES = np.arange(40, 81)
ENERGIES_KEV = np.arange(8, 80) + 0.5
ANODE_ANGLE_DEG = 12.0

# Mass fractions, ICRU Report 44 (1989), as tabulated by NIST (Hubbell and Seltzer, NISTIR 5632, table 2).
MASS_FRACTIONS: dict[str, dict[str, float]] = {
    "soft_tissue": {
        "H": 0.102, "C": 0.143, "N": 0.034, "O": 0.708, "Na": 0.002, "P": 0.003, "S": 0.003, "Cl": 0.002, "K": 0.003,
    },
    "adipose": {"H": 0.114, "C": 0.598, "N": 0.007, "O": 0.278, "Na": 0.001, "S": 0.001, "Cl": 0.001},
    "cortical_bone": {
        "H": 0.034, "C": 0.155, "N": 0.042, "O": 0.435, "Na": 0.001, "Mg": 0.002, "P": 0.103, "S": 0.003, "Ca": 0.225,
    },
}  # fmt: skip
FORMULAS = {
    "mineral": "Ca10P6O26H2",
    "water": "H2O",
    "aluminium": "Al",
    "copper": "Cu",
    "steel": "Fe",
    "lead": "Pb",
    "caesium_iodide": "CsI",
}


def mass_attenuation_of_mixture(fractions: dict[str, float]) -> np.ndarray:
    """(E,) cm2/g of elements mixed by mass."""
    energies_ev = ENERGIES_KEV * 1e3
    return sum(
        (fraction * xraydb.mu_elam(element, energies_ev) for element, fraction in fractions.items()),
        np.zeros_like(energies_ev),
    )


def mass_attenuation_of_formula(formula: str) -> np.ndarray:
    """(E,) cm2/g of a chemical compound."""
    amounts = xraydb.chemparse(formula)
    masses = {element: number * xraydb.atomic_mass(element) for element, number in amounts.items()}
    total = sum(masses.values())
    return mass_attenuation_of_mixture({element: mass / total for element, mass in masses.items()})


def tube_spectrum(kilovoltage: float) -> np.ndarray:
    """(E,) photons per keV, unfiltered, scaled to 1 in sum (absolute output is set by the dose parameter)."""
    energies_kev, fluence = spekpy.Spek(kvp=float(kilovoltage), th=ANODE_ANGLE_DEG, dk=1.0).get_spectrum()
    on_grid = np.interp(ENERGIES_KEV, np.asarray(energies_kev), np.asarray(fluence), left=0.0, right=0.0)
    return on_grid / on_grid.sum()


def main() -> None:
    materials = {name: mass_attenuation_of_mixture(fractions) for name, fractions in MASS_FRACTIONS.items()}
    materials |= {name: mass_attenuation_of_formula(formula) for name, formula in FORMULAS.items()}
    arrays: dict[str, Any] = {
        "energies_kev": ENERGIES_KEV,
        "kilovoltages": KILOVOLTAGES,
        "spectra": np.stack([tube_spectrum(float(kvp)) for kvp in KILOVOLTAGES]).astype(np.float32),
    }
    arrays |= {f"mass_attenuation_{name}": values.astype(np.float32) for name, values in materials.items()}
    np.savez_compressed(OUTPUT, **arrays)
    print(f"{OUTPUT.name}: {len(KILOVOLTAGES)} spectra, {len(materials)} materials, {OUTPUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()
