"""Surfaces of bones: meshes, signed distance, iso-surfaces, distances, alignment, files. Lengths in mm."""
