"""A result as DICOM: segmentation, measurement report, encapsulated surfaces and report. Needs ``bonelift[dicom]``."""
