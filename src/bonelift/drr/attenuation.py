"""Hounsfield units and linear attenuation.

HU = 1000 (mu - mu_water) / (mu_water - mu_air), with mu_air taken as 0. Source: Hounsfield 1973
(doi:10.1259/0007-1285-46-552-1016); mu of water: NIST XCOM mass attenuation times 1.0 g/cm3.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bonelift.errors import InputError

MU_WATER_PER_MM = 0.019285
"""Linear attenuation of water at 70 keV, the mean energy of a 120 kVp CT beam behind a wrist (1/mm)."""


def mu_from_hu(hu: ArrayLike, mu_water_per_mm: float = MU_WATER_PER_MM) -> NDArray[np.floating]:
    """Linear attenuation (1/mm) of HU, same shape and float type; below -1000 HU it is 0, never negative."""
    values = _floats(hu)
    _check_water(mu_water_per_mm)
    return np.maximum(mu_water_per_mm * (1 + values / 1000), 0).astype(values.dtype)


def hu_from_mu(mu_per_mm: ArrayLike, mu_water_per_mm: float = MU_WATER_PER_MM) -> NDArray[np.floating]:
    """HU of linear attenuation (1/mm), same shape and float type."""
    values = _floats(mu_per_mm)
    _check_water(mu_water_per_mm)
    return (1000 * (values / mu_water_per_mm - 1)).astype(values.dtype)


def _floats(values: ArrayLike) -> NDArray[np.floating]:
    array = np.asarray(values)
    return array if np.issubdtype(array.dtype, np.floating) else array.astype(np.float64)


def _check_water(mu_water_per_mm: float) -> None:
    if not 0 < mu_water_per_mm < 1:
        raise InputError(f"attenuation of water is {mu_water_per_mm} 1/mm; expected 0.015 to 0.05 for X-rays in use")
