"""DICOM SR: the measurements as a TID 1500 measurement report that refers to the radiographs."""

from __future__ import annotations

import math
from collections.abc import Sequence

from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    ComprehensiveSR,
    DeviceObserverIdentifyingAttributes,
    FindingSite,
    Measurement,
    MeasurementProperties,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    SourceImageForMeasurementGroup,
    TrackingIdentifier,
)
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid

from bonelift import __version__
from bonelift.reconstruction.dicom.codes import MANUFACTURER, SIDES, UNITS, WRIST
from bonelift.reconstruction.dicom.source import ResultSeries
from bonelift.reconstruction.measured import MeasuredValue


def measurement_report(
    measurements: Sequence[MeasuredValue], series: ResultSeries, number: int
) -> ComprehensiveSR | None:
    """One group of measurements of the wrist, each with its expected error as uncertainty where that is known.

    Left out are those without a value, and those that tell no more than the mean of all adults: what reads an SR shows
    no such remark. None where nothing is left.
    """
    found = [value for value in measurements if math.isfinite(value.value) and value.has_skill is not False]
    if not found:
        return None
    group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=generate_uid(prefix=None), identifier=f"{series.side} wrist"),
        algorithm_id=AlgorithmIdentification(name="bonelift", version=__version__),
        finding_sites=[FindingSite(WRIST, laterality=SIDES[series.side])],
        measurements=[_measurement(value) for value in found],
        source_images=[
            SourceImageForMeasurementGroup(image.SOPClassUID, image.SOPInstanceUID) for image in series.references
        ],
    )
    report = MeasurementReport(
        observation_context=ObservationContext(observer_device_context=_device()),
        procedure_reported=codes.SCT.ImagingProcedure,
        imaging_measurements=[group],
        title=codes.DCM.ImagingMeasurementReport,
    )
    return ComprehensiveSR(
        evidence=list(series.references),
        content=report,
        series_instance_uid=generate_uid(prefix=None),
        series_number=number,
        sop_instance_uid=generate_uid(prefix=None),
        instance_number=1,
        manufacturer=MANUFACTURER,
        is_complete=True,
        series_description="Measurements of distal radius and ulna (research only)",
    )


def _measurement(value: MeasuredValue) -> Measurement:
    error = None if value.error is None else float(value.error.mean_abs)
    return Measurement(
        name=CodedConcept(value.facts.key, "99BONELIFT", value.name[:64]),
        value=round(float(value.value), 3),
        unit=UNITS[value.unit],
        properties=None
        if error is None
        else MeasurementProperties(upper_measurement_uncertainty=error, lower_measurement_uncertainty=error),
    )


def _device() -> ObserverContext:
    return ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
            uid=generate_uid(prefix=None), name="bonelift", manufacturer_name=MANUFACTURER, model_name=__version__
        ),
    )
