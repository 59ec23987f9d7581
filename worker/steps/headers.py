"""Rows back to records: the slices of a stored study as headers."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from worker.domain import Acquisition, GreyRange, InstanceHeader, PixelGeometry, StudyKind
from worker.store.models import Instance, Study


def headers_of(study: Study) -> list[InstanceHeader]:
    """Headers of all slices of a study, as they came: `worker.volumes` puts them in order."""
    return [header for instance in study.instances for header in _headers(study, instance)]


def _headers(study: Study, instance: Instance) -> Iterator[InstanceHeader]:
    series = instance.series
    header = InstanceHeader(
        kind=StudyKind(study.kind),
        sha256=instance.sha256,
        study_uid=study.study_uid,
        series_uid=series.series_uid,
        sop_uid=instance.sop_uid,
        geometry=_geometry(instance, instance.spacing_mm, instance.position_mm, instance.orientation),
        acquisition=_acquisition(instance.acquisition),
        modality=series.modality,
        series_description=series.description,
        series_number=series.number,
        instance_number=instance.instance_number,
        grey_range=GreyRange(instance.grey_range[0], instance.grey_range[1]) if instance.grey_range else None,
    )
    if instance.frames is None:
        yield header
        return
    for number, frame in enumerate(instance.frames, start=1):
        yield replace(
            header,
            frame=number,
            geometry=_geometry(instance, frame["spacing_mm"], frame["position_mm"], frame["orientation"]),
            acquisition=_acquisition(frame.get("acquisition")),
        )


def _acquisition(stored: dict[str, Any] | None) -> Acquisition:
    """Of a slice that was stored before acquisitions were, one that says nothing."""
    return Acquisition() if stored is None else Acquisition(**{**stored, "image_type": tuple(stored["image_type"])})


def _geometry(
    instance: Instance,
    spacing_mm: Sequence[float] | None,
    position_mm: Sequence[float] | None,
    orientation: Sequence[float] | None,
) -> PixelGeometry:
    return PixelGeometry(
        instance.rows,
        instance.columns,
        (spacing_mm[0], spacing_mm[1]) if spacing_mm else None,
        (position_mm[0], position_mm[1], position_mm[2]) if position_mm else None,
        (orientation[0], orientation[1], orientation[2], orientation[3], orientation[4], orientation[5])
        if orientation
        else None,
    )
