"""The main job: radiographs in, bones out. :mod:`bonelift.reconstruction.job` reads as one page."""
