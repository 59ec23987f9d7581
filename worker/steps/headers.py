"""Rows back to records: the instances of a stored study as headers in reading order."""

from worker.domain import InstanceHeader, PixelGeometry, StudyKind
from worker.store.models import Instance, Study
from worker.studies import reading_order


def headers_of(study: Study) -> list[InstanceHeader]:
    """Headers of all instances of a study, in reading order."""
    return reading_order(_header(study, instance) for instance in study.instances)


def _header(study: Study, instance: Instance) -> InstanceHeader:
    series = instance.series
    return InstanceHeader(
        kind=StudyKind(study.kind),
        sha256=instance.sha256,
        study_uid=study.study_uid,
        series_uid=series.series_uid,
        sop_uid=instance.sop_uid,
        geometry=_geometry(instance),
        modality=series.modality,
        series_description=series.description,
        series_number=series.number,
        instance_number=instance.instance_number,
    )


def _geometry(instance: Instance) -> PixelGeometry:
    spacing, position, orientation = instance.spacing_mm, instance.position_mm, instance.orientation
    return PixelGeometry(
        instance.rows,
        instance.columns,
        (spacing[0], spacing[1]) if spacing else None,
        (position[0], position[1], position[2]) if position else None,
        (orientation[0], orientation[1], orientation[2], orientation[3], orientation[4], orientation[5])
        if orientation
        else None,
    )
