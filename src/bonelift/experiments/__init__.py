"""Experiments 1 to 3 of Shiode et al. 2021 on a study. :mod:`bonelift.experiments.evaluate` reads as one page."""
