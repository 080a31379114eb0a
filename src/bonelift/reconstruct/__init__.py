"""The main job: radiographs in, bones out. :mod:`bonelift.reconstruct.job` reads as one page."""
