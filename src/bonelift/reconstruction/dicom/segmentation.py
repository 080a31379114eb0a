"""DICOM SEG: radius and ulna as segments of one object, in the patient frame of the result."""

from __future__ import annotations

import numpy as np
from highdicom import CoordinateSystemNames, Volume
from highdicom.color import CIELabColor
from highdicom.seg import SegmentAlgorithmTypeValues, Segmentation, SegmentationTypeValues, SegmentDescription
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid

from bonelift import __version__
from bonelift.images.volume import BONE_COLOURS, LabelMap
from bonelift.reconstruction.dicom.codes import BONES, MANUFACTURER, MODEL, SERIAL, SIDES, algorithm
from bonelift.reconstruction.dicom.source import ResultSeries


def segmentation(labels: LabelMap, series: ResultSeries, number: int) -> Segmentation:
    """labels: in the patient frame. number: of the series. Bones without a voxel get no segment.

    An image of another study than the first cannot be named in a segmentation; the measurement report names it.
    """
    present = {value: name for value, name in sorted(labels.names.items()) if (labels.labels == value).any()}
    numbered = np.zeros_like(labels.labels)
    for segment, value in enumerate(present, start=1):
        numbered[labels.labels == value] = segment
    # Frames, rows and columns run along z, y and x.
    order = [2, 1, 0]
    volume = Volume(
        np.ascontiguousarray(numbered.transpose(order)),
        affine=labels.world_from_voxel[:, [*order, 3]],
        coordinate_system=CoordinateSystemNames.PATIENT,
        frame_of_reference_uid=series.frame_of_reference_uid,
    )
    first, *others = series.references
    return Segmentation(
        source_images=[first],
        further_source_images=[o for o in others if o.StudyInstanceUID == first.StudyInstanceUID] or None,
        pixel_array=volume,
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[_segment(n, name, series) for n, name in enumerate(present.values(), start=1)],
        series_instance_uid=generate_uid(prefix=None),
        series_number=number,
        sop_instance_uid=generate_uid(prefix=None),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MODEL,
        software_versions=__version__,
        device_serial_number=SERIAL,
        content_label="WRIST_BONES",
        content_description="Distal radius and ulna from a radiograph; research",
        series_description="Distal radius and ulna (research only)",
    )


def _segment(number: int, name: str, series: ResultSeries) -> SegmentDescription:
    segment = SegmentDescription(
        segment_number=number,
        segment_label=f"{series.side} {name}",
        segmented_property_category=codes.SCT.AnatomicalStructure,
        segmented_property_type=BONES[name],
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm(),
        tracking_uid=generate_uid(prefix=None),
        tracking_id=f"{series.side} {name}",
        display_color=CIELabColor.from_rgb(*BONE_COLOURS[name]),
    )
    segment.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [SIDES[series.side]]
    return segment
