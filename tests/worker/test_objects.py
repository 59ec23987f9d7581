"""The content-addressed store."""

import hashlib
import io
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from worker.store.objects import MARKER, ObjectStore, StoreAwayError


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    store = ObjectStore(tmp_path / "deep" / "store")
    store.prepare()
    return store


class FailingStream(io.BytesIO):
    def read(self, _size: int | None = -1) -> bytes:
        raise OSError("unplugged")


def files(store: ObjectStore) -> list[Path]:
    return [path for path in store.root.rglob("*") if path.is_file() and path.name != MARKER]


@pytest.mark.parametrize("size", [0, 1, 2_500_000])
def test_bytes_lie_under_their_sum(store: ObjectStore, size: int) -> None:
    content = os.urandom(size)
    assert store.put(io.BytesIO(content)) == (hashlib.sha256(content).hexdigest(), size)
    path = store.path_of(hashlib.sha256(content).hexdigest())
    assert path.read_bytes() == content
    assert files(store) == [path]


def test_nobody_else_can_read_them(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path / "store")
    umask = os.umask(0)
    try:
        store.prepare()
        sha256, _ = store.put(io.BytesIO(b"patient"))
    finally:
        os.umask(umask)
    path = store.path_of(sha256)
    private = (path, store.root / MARKER, path.parent, store.root)
    assert [stat.S_IMODE(p.stat().st_mode) for p in private] == [0o600, 0o600, 0o700, 0o700]


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


@pytest.fixture(params=["nothing", "an empty mount point", "a mount point with objects"])
def away(store: ObjectStore, request: pytest.FixtureRequest) -> Path:
    """The store, moved, with one object; something else may be in its place."""
    store.put(io.BytesIO(b"known"))
    moved = store.root.rename(store.root.with_name("moved"))
    if request.param != "nothing":
        store.root.mkdir()
    if request.param == "a mount point with objects":
        (store.root / "ab").mkdir()
    return moved


def snapshot(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


@pytest.mark.parametrize(
    "use",
    [
        lambda store: store.put(io.BytesIO(b"new")),
        lambda store: store.has_lost("ab" * 32),
        lambda store: store.make_folder(store.root / ".aside" / "1"),
        lambda store: store.take({Path(__file__): "ab" * 32}),
    ],
    ids=["put", "has_lost", "make_folder", "take"],
)
def test_one_that_is_away_takes_nothing_and_has_lost_nothing(
    store: ObjectStore, away: Path, use: Callable[[ObjectStore], object]
) -> None:
    before = snapshot(away.parent)
    assert not store.is_there()
    with pytest.raises(StoreAwayError, match="mount it or move it back"):
        use(store)
    assert snapshot(away.parent) == before


def test_one_that_is_back_goes_on(store: ObjectStore) -> None:
    known, _ = store.put(io.BytesIO(b"known"))
    away = store.root.rename(store.root.with_name("moved"))
    with pytest.raises(StoreAwayError):
        store.has_lost(known)
    away.rename(store.root)
    assert not store.has_lost(known)
    assert store.has_lost("ab" * 32)
    assert store.put(io.BytesIO(b"known"))[0] == known


def test_what_is_put_while_it_is_moved_goes_along(store: ObjectStore) -> None:
    """And not into the empty mount point that is left."""
    moved = store.root.with_name("moved")

    class MovingStream(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if not moved.exists():
                store.root.rename(moved)
                store.root.mkdir()
            return super().read(size)

    sha256, _ = store.put(MovingStream(b"new"))
    assert ObjectStore(moved).path_of(sha256).read_bytes() == b"new"
    assert list(store.root.iterdir()) == []


def test_one_of_an_earlier_version_gets_its_marker(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path)
    (tmp_path / "lost+found").mkdir()
    assert (store.is_there(), store.holds_objects()) == (False, False)
    (tmp_path / "ab").mkdir()
    assert (store.is_there(), store.holds_objects()) == (False, True)
    for _ in range(2):
        store.prepare()
    assert store.is_there()
