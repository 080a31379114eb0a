"""The study folder: cases simulated or imported, checked, normalised, projected, registered and trained on."""
