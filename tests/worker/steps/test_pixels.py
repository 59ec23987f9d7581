"""Stored slices are decoded as the study's window says, and multi-frame objects are opened once."""

import hashlib
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.worker.scans import dicom, enhanced
from worker.domain import GreyRange, InstanceHeader, ReadInstance
from worker.errors import Reason, RejectedError, TransientError
from worker.intake import DEFAULT_LIMITS, IntakeLimits, read_instance
from worker.services import Services
from worker.steps import pixels
from worker.steps.pixels import stored_pixels, stored_slices

FRAMES = 5


class Store:
    """Files of a study in a folder, as `Services` would hold them, and which of them were opened."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.limits = DEFAULT_LIMITS
        self.opened: list[str] = []
        monkeypatch.setattr(pixels, "read_instance", self.counted)

    def counted(self, path: Path, sha256: str, limits: IntakeLimits, shown_by: GreyRange | None) -> ReadInstance:
        self.opened.append(sha256)
        return read_instance(path, sha256, limits, shown_by)

    @property
    def services(self) -> Services:
        return SimpleNamespace(objects=SimpleNamespace(path_of=self.path_of), limits=self.limits)  # type: ignore[return-value]

    def path_of(self, sha256: str) -> Path:
        return self.folder / sha256

    def take(self, content: bytes) -> tuple[InstanceHeader, ...]:
        sha256 = hashlib.sha256(content).hexdigest()
        self.path_of(sha256).write_bytes(content)
        return read_instance(self.path_of(sha256), sha256).headers

    def read(self, headers: Sequence[InstanceHeader]) -> list[float]:
        """The mean brightness of all slices, in order."""
        return [float(decode().mean()) for _, decode in stored_slices(self.services, headers)]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    return Store(tmp_path, monkeypatch)


def objects(store: Store, count: int) -> list[tuple[InstanceHeader, ...]]:
    return [store.take(enhanced(1, range(number, 99, 20)[:FRAMES], [40 + number] * FRAMES)) for number in range(count)]


def interleaved(volumes: Sequence[Sequence[InstanceHeader]]) -> list[InstanceHeader]:
    return list(chain.from_iterable(zip(*volumes, strict=True)))


def test_objects_whose_frames_lie_between_each_other_are_opened_once(store: Store) -> None:
    headers = interleaved(objects(store, 3))
    assert store.read(headers) == pytest.approx([40, 41, 42] * FRAMES, abs=2)
    assert len(store.opened) == 3


def test_open_objects_take_no_more_than_one_file_may(store: Store) -> None:
    volumes = objects(store, 3)
    size = store.path_of(volumes[0][0].sha256).stat().st_size
    store.limits = IntakeLimits(max_file_bytes=2 * size + 100)
    store.read(interleaved(volumes))
    assert len(store.opened) == 3 * FRAMES
    store.opened.clear()
    store.read(interleaved(volumes[:2]))
    assert len(store.opened) == 2


def test_no_more_than_so_many_are_open(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pixels, "_MOST_OPEN", 2)
    volumes = objects(store, 3)
    store.read([*volumes[0][:2], *volumes[1][:2], volumes[0][2], *volumes[2][:2], volumes[0][3], volumes[1][2]])
    names = {volume[0].sha256: number for number, volume in enumerate(volumes)}
    assert [names[sha256] for sha256 in store.opened] == [0, 1, 2, 1]


def test_slices_of_one_frame_are_not_kept(store: Store) -> None:
    headers = [*store.take(dicom(1, 1)), *store.take(dicom(1, 2))]
    assert store.read([*headers, *objects(store, 1)[0]]) == pytest.approx([40] * (2 + FRAMES), abs=2)
    assert len(store.opened) == 3


def test_one_slice_alone_and_among_others_are_the_same(store: Store) -> None:
    headers = interleaved(objects(store, 2))
    ranges = {headers[0].series_uid: headers[0].grey_range or GreyRange(0, 1)}
    for header, decode in stored_slices(store.services, headers):
        assert np.array_equal(decode(), stored_pixels(store.services, ranges, header))


def test_a_store_that_does_not_answer_is_tried_again(store: Store) -> None:
    headers = interleaved(objects(store, 2))
    for header in headers:
        store.path_of(header.sha256).unlink(missing_ok=True)
    for _, decode in stored_slices(store.services, headers):
        with pytest.raises(TransientError, match="ENOENT"):
            decode()


def test_a_frame_that_was_damaged_since_is_refused(store: Store) -> None:
    headers = objects(store, 1)[0]
    path = store.path_of(headers[0].sha256)
    path.write_bytes(path.read_bytes()[:-100])
    _, decode = next(iter(stored_slices(store.services, headers)))
    with pytest.raises(RejectedError) as refused:
        decode()
    assert refused.value.reason is Reason.TRUNCATED
