"""The content-addressed store."""

import hashlib
import io
import os
import stat
from pathlib import Path

import pytest

from worker.store.objects import ObjectStore


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return ObjectStore(tmp_path / "deep" / "store")


class FailingStream(io.BytesIO):
    def read(self, _size: int | None = -1) -> bytes:
        raise OSError("unplugged")


def files(store: ObjectStore) -> list[Path]:
    return [path for path in store.root.rglob("*") if path.is_file()]


@pytest.mark.parametrize("size", [0, 1, 2_500_000])
def test_bytes_lie_under_their_sum(store: ObjectStore, size: int) -> None:
    content = os.urandom(size)
    assert store.put(io.BytesIO(content)) == (hashlib.sha256(content).hexdigest(), size)
    path = store.path_of(hashlib.sha256(content).hexdigest())
    assert path.read_bytes() == content
    assert files(store) == [path]


def test_nobody_else_can_read_them(store: ObjectStore) -> None:
    umask = os.umask(0)
    try:
        sha256, _ = store.put(io.BytesIO(b"patient"))
    finally:
        os.umask(umask)
    path = store.path_of(sha256)
    assert [stat.S_IMODE(p.stat().st_mode) for p in (path, path.parent, store.root)] == [0o600, 0o700, 0o700]


def test_the_same_bytes_are_kept_once(store: ObjectStore) -> None:
    first, _ = store.put(io.BytesIO(b"same"))
    second, _ = store.put(io.BytesIO(b"same"))
    assert first == second
    assert len(files(store)) == 1


def test_a_source_that_fails_leaves_nothing_behind(store: ObjectStore) -> None:
    with pytest.raises(OSError, match="unplugged"):
        store.put(FailingStream())
    assert files(store) == []


def test_files_are_taken_in_by_a_rename(store: ObjectStore) -> None:
    sha256, _ = store.put(io.BytesIO(b"known"))
    folder = store.root / ".aside"
    folder.mkdir()
    contents = {folder / "1": b"one", folder / "2": b"two", folder / "3": b"known", folder / "4": b"known"}
    for path, content in contents.items():
        path.write_bytes(content)
    inodes = {path.stat().st_ino for path in contents}
    store.take({path: hashlib.sha256(content).hexdigest() for path, content in contents.items()})
    assert list(folder.iterdir()) == []
    assert sorted(path.read_bytes() for path in files(store)) == [b"known", b"one", b"two"]
    assert {path.stat().st_ino for path in files(store)} <= inodes
    assert store.path_of(sha256).read_bytes() == b"known"
