"""Tube spectra, mass attenuation, and the detector signal behind bone and soft tissue.

Numbers come from ``xray_tables.npz``, which ``scripts/build_xray_tables.py`` makes from SpekPy and xraydb; the sources
are cited there. Energies keV, mass attenuation cm2/g, thickness as mass per area g/cm2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from bonelift.errors import InputError

Float = NDArray[np.float64]

ALUMINIUM_G_CM3 = 2.699
COPPER_G_CM3 = 8.96

MINERAL_MAX_G_CM2 = 8.0
SOFT_MAX_G_CM2 = 40.0
_MINERAL_NODES = 81
_SOFT_NODES = 41


@dataclass(frozen=True)
class XrayTables:
    """energies_kev (E,); kilovoltages (V,); spectra (V, E) photons, each row sums to 1; mass attenuation (E,) cm2/g."""

    energies_kev: Float
    kilovoltages: Float
    spectra: Float
    mass_attenuation: Mapping[str, Float]


@cache
def load_tables() -> XrayTables:
    """The packaged tables, read once."""
    path = resources.files("bonelift.phantom") / "xray_tables.npz"
    prefix = "mass_attenuation_"
    with path.open("rb") as stream, np.load(stream) as stored:
        mass_attenuation = {
            name.removeprefix(prefix): stored[name].astype(np.float64) for name in stored.files if prefix in name
        }
        return XrayTables(
            stored["energies_kev"].astype(np.float64),
            stored["kilovoltages"].astype(np.float64),
            stored["spectra"].astype(np.float64),
            MappingProxyType(mass_attenuation),
        )


@dataclass(frozen=True)
class Beam:
    """What leaves the tube and how the detector answers.

    kilovoltage: 40 to 80 kV. aluminium_mm, copper_mm: total filtration. scintillator_mg_cm2: CsI, 50 to 300.
    adipose_fraction: share by mass of adipose tissue in what is not bone mineral, 0 to 1.
    """

    kilovoltage: float
    aluminium_mm: float
    copper_mm: float
    scintillator_mg_cm2: float
    adipose_fraction: float

    def __post_init__(self) -> None:
        limits = {
            "kilovoltage": (40.0, 80.0),
            "aluminium_mm": (0.0, 10.0),
            "copper_mm": (0.0, 1.0),
            "scintillator_mg_cm2": (20.0, 500.0),
            "adipose_fraction": (0.0, 1.0),
        }
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if not (np.isfinite(value) and low <= value <= high):
                raise InputError(f"X-ray beam: {name} is {value}; expected {low} to {high}")


def filtered_spectrum(beam: Beam) -> Float:
    """(E,) photons behind the filters, in fractions of the unfiltered beam; between tabulated kilovoltages linear."""
    tables = load_tables()
    position = beam.kilovoltage - tables.kilovoltages[0]
    lower = min(int(position), len(tables.kilovoltages) - 2)
    share = position - lower
    spectrum = (1 - share) * tables.spectra[lower] + share * tables.spectra[lower + 1]
    return spectrum * np.exp(
        -tables.mass_attenuation["aluminium"] * ALUMINIUM_G_CM3 * beam.aluminium_mm / 10
        - tables.mass_attenuation["copper"] * COPPER_G_CM3 * beam.copper_mm / 10
    )


def detected_energy(beam: Beam) -> Float:
    """(E,) energy absorbed by the scintillator in the open field, per bin, scaled to 1 in sum."""
    tables = load_tables()
    absorbed = 1 - np.exp(-tables.mass_attenuation["caesium_iodide"] * beam.scintillator_mg_cm2 / 1000)
    weights = filtered_spectrum(beam) * absorbed * tables.energies_kev
    return weights / weights.sum()


def soft_mass_attenuation(beam: Beam) -> Float:
    """(E,) cm2/g of the mixture of soft and adipose tissue."""
    table = load_tables().mass_attenuation
    return (1 - beam.adipose_fraction) * table["soft_tissue"] + beam.adipose_fraction * table["adipose"]


@dataclass(frozen=True)
class Response:
    """Log-attenuation of the primary beam, -ln(signal / open field), tabulated over mineral and soft tissue.

    log_attenuation: (M, S), M over 0..MINERAL_MAX_G_CM2, S over 0..SOFT_MAX_G_CM2, even steps; 0 at [0, 0].
    quanta_per_signal: photons absorbed per unit of signal, relative to one photon of mean energy: the factor by which
        the spread of photon energies raises the quantum noise is 1 / quanta_per_signal (>= 1).
    """

    log_attenuation: Float
    quanta_per_signal: float

    def of(self, mineral_g_cm2: NDArray[np.floating], soft_g_cm2: NDArray[np.floating]) -> Float:
        """Log-attenuation (same shape) of stacked mineral and soft tissue; bilinear, clamped to the table's ends."""
        row, row_share = _node(mineral_g_cm2, MINERAL_MAX_G_CM2, self.log_attenuation.shape[0])
        column, column_share = _node(soft_g_cm2, SOFT_MAX_G_CM2, self.log_attenuation.shape[1])
        table = self.log_attenuation
        upper = table[row, column] + column_share * (table[row, column + 1] - table[row, column])
        lower = table[row + 1, column] + column_share * (table[row + 1, column + 1] - table[row + 1, column])
        return upper + row_share * (lower - upper)


def _node(values: NDArray[np.floating], maximum: float, count: int) -> tuple[NDArray[np.intp], Float]:
    position = np.clip(np.asarray(values, dtype=np.float64) * ((count - 1) / maximum), 0, count - 1)
    lower = np.minimum(position.astype(np.intp), count - 2)
    return lower, position - lower


def response(beam: Beam) -> Response:
    """Tabulate the polychromatic transmission of ``beam`` (about 1 ms)."""
    return response_of(
        detected_energy(beam),
        load_tables().mass_attenuation["mineral"],
        soft_mass_attenuation(beam),
        load_tables().energies_kev,
    )


def response_of(weights: Float, mineral_cm2_g: Float, soft_cm2_g: Float, energies_kev: Float) -> Response:
    """Transmission table of any spectrum of detected energy.

    weights: (E,) detected energy per bin, sum 1. mineral_cm2_g, soft_cm2_g: (E,) mass attenuation. energies_kev: (E,).
    """
    mineral = np.linspace(0, MINERAL_MAX_G_CM2, _MINERAL_NODES)
    soft = np.linspace(0, SOFT_MAX_G_CM2, _SOFT_NODES)
    through_mineral = np.exp(-np.outer(mineral, mineral_cm2_g)) * weights
    through_soft = np.exp(-np.outer(soft_cm2_g, soft))
    table = -np.log(np.maximum(through_mineral @ through_soft, 1e-12))
    # Compound Poisson: var / mean^2 = <E^2> / (<E>^2 N), averages over absorbed photons (weights / E).
    photons = weights / energies_kev
    quanta = weights.sum() ** 2 / (photons.sum() * (weights * energies_kev).sum())
    return Response(table - table[0, 0], float(quanta))


def thin_metal_log_attenuation(beam: Beam, metal: str, mass_g_cm2: NDArray[np.floating]) -> Float:
    """Log-attenuation (same shape as ``mass_g_cm2``) of ``metal`` ("lead", "steel", "aluminium") alone in the beam."""
    table = load_tables().mass_attenuation[metal]
    nodes = np.concatenate([[0.0], np.geomspace(0.01, 5.0, 40)])
    transmitted = np.exp(-np.outer(nodes, table)) @ detected_energy(beam)
    return np.interp(mass_g_cm2, nodes, -np.log(np.maximum(transmitted, 1e-12)))
