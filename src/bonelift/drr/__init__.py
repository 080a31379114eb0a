"""Digitally reconstructed radiographs: line integrals through volumes, their gradients, HU to attenuation."""

from bonelift.drr.joseph import project
from bonelift.drr.ray_volume import Box, RayVolume, prepare

__all__ = ["Box", "RayVolume", "prepare", "project"]
