"""How files come: slowly, in folders, under other names first, twice, very many, unheard."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from itertools import zip_longest
from pathlib import Path

import pytest

from tests.chaos.drops import Drop, mixed, pictures
from tests.chaos.ground import SHIPPED_ATTEMPTS, Ground
from worker.settings import Settings

COUNT = 60
DIFFERENT = 200
"""Of the very many files: the others are duplicates, which are read and filed, but not analysed."""
LONG_SECONDS = 1800.0


@pytest.mark.parametrize("count", [COUNT, pytest.param(500, marks=pytest.mark.long)])
def test_the_same_files_twice(ground: Ground, count: int) -> None:
    ground.deployment.start()
    first = pictures(count)
    ground.drop(first)
    ground.drop({f"again/{name}": drop for name, drop in first.items()})
    ground.survives(f"the same {count} files twice", LONG_SECONDS)


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="there is no second file system")
def test_the_inbox_is_a_disk_of_its_own(ground: Ground) -> None:
    with tempfile.TemporaryDirectory(prefix="triage-", dir="/dev/shm") as elsewhere:
        ground.deployment.home.mkdir(parents=True)
        ground.deployment.settings.inbox.symlink_to(elsewhere)
        ground.deployment.start()
        ground.drop(mixed(3))
        ground.survives("the inbox is a disk of its own")


def write_slowly(ground: Ground, pieces: Mapping[str, Sequence[bytes]], least: float, most: float) -> None:
    """Write all files at once under their final names, a piece of each after a pause of so many seconds."""
    with ExitStack() as writers:
        inbox = ground.deployment.settings.inbox
        files = {name: writers.enter_context((inbox / name).open("wb", buffering=0)) for name in pieces}
        for of_each in zip_longest(*pieces.values(), fillvalue=b""):
            for file, piece in zip(files.values(), of_each, strict=True):
                file.write(piece)
            ground.pause(least, most)


def cut(content: bytes, size: int) -> list[bytes]:
    return [content[start : start + size] for start in range(0, len(content), size)]


def test_a_writer_that_pauses_longer_than_the_settle_time(ground: Ground) -> None:
    ground.deployment.start()
    slow = pictures(5)
    # thrice the settle time of these tests is 0.9
    write_slowly(ground, {name: cut(drop.content, -(-len(drop.content) // 3)) for name, drop in slow.items()}, 2, 2.5)
    ground.dropped |= slow
    ground.survives("writers that pause longer than the settle time")


def test_files_that_are_made_empty_and_filled_a_moment_later(ground: Ground) -> None:
    """As many programs and network shares write them: made and closed, then opened again."""
    ground.deployment.start()
    slow = pictures(5)
    inbox = ground.deployment.settings.inbox
    for name in slow:
        (inbox / name).touch()
    ground.pause(2, 3)
    for name, drop in slow.items():
        (inbox / name).write_bytes(drop.content)
    ground.dropped |= slow
    ground.survives("files that are made empty and filled a moment later")


@pytest.mark.long
def test_an_inbox_that_is_away_for_a_while(ground: Ground) -> None:
    """Renamed while files of it are being taken in, and back again in place of the one that was made anew."""
    deployment = ground.deployment
    deployment.environment |= SHIPPED_ATTEMPTS
    ground.drop(mixed(10))
    deployment.start()
    ground.pause(0.5, 1.5)
    inbox = deployment.settings.inbox
    away = inbox.rename(inbox.with_name("away"))
    ground.pause(20, 25)
    for path in inbox.rglob("*"):
        assert not path.is_file(), "nobody drops anything meanwhile"
    shutil.rmtree(inbox)
    away.rename(inbox)
    ground.survives("the inbox away for a while")


@pytest.mark.long
def test_a_writer_of_a_kilobyte_a_second(ground: Ground) -> None:
    ground.deployment.start()
    slow = pictures(3)
    write_slowly(ground, {name: cut(drop.content, 1024) for name, drop in slow.items()}, 1, 1)
    ground.dropped |= slow
    ground.survives("writers of 1 KB/s")


def put_aside(folder: Path, drops: Mapping[str, Drop]) -> Path:
    """Write files into a folder outside the inbox, on its file system."""
    for name, drop in drops.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(drop.content)
    return folder


def within(folder: str, drops: Mapping[str, Drop]) -> dict[str, Drop]:
    """What files of a folder are called in the inbox."""
    return {f"{folder}/{name}": drop for name, drop in drops.items()}


@pytest.mark.long
def test_folders_moved_and_copied_in_and_the_names_of_rsync(ground: Ground) -> None:
    aside, inbox = ground.deployment.home.parent / "aside", ground.deployment.settings.inbox
    moved, copied, synced = (mixed(3, first_seed=seed) for seed in (0, 3, 6))
    ground.deployment.start()
    put_aside(aside / "moved", moved).rename(inbox / "moved")
    shutil.copytree(put_aside(aside / "copied", copied), inbox / "copied")
    ground.dropped |= within("moved", moved) | within("copied", copied)
    for name, drop in within("synced", synced).items():
        path = inbox / name
        path.parent.mkdir(parents=True, exist_ok=True)
        being_sent = path.with_name(f".{path.name}.Xy3kQ9")  # rsync's own way: a dot name, then a rename
        with being_sent.open("wb", buffering=0) as file:
            file.write(drop.content[: len(drop.content) // 2])
            ground.pause(0.1, 0.5)
            file.write(drop.content[len(drop.content) // 2 :])
        being_sent.rename(path)
        ground.dropped[name] = drop
    ground.survives("folders moved and copied in, rsync's temporary names")


@pytest.mark.long
def test_files_put_in_by_cp_and_tar(ground: Ground) -> None:
    """Programs that write under the final name, in pieces, and set the times afterwards."""
    aside, inbox = ground.deployment.home.parent / "aside", ground.deployment.settings.inbox
    by_cp, by_tar = mixed(4), mixed(4, first_seed=4)
    ground.deployment.start()
    subprocess.run(["cp", "-a", str(put_aside(aside / "cp", by_cp)), str(inbox)], check=True)
    packed = aside / "packed.tar"
    subprocess.run(["tar", "-C", str(put_aside(aside / "tar", by_tar).parent), "-cf", str(packed), "tar"], check=True)
    subprocess.run(["tar", "-C", str(inbox), "-xf", str(packed)], check=True)
    ground.dropped |= within("cp", by_cp) | within("tar", by_tar)
    ground.survives("files put in by cp -a and tar, with old times")


def test_polling(ground: Ground) -> None:
    ground.deployment.environment |= {"TRIAGE_WATCH": "polling"}
    ground.deployment.start()
    ground.drop(mixed(3))
    ground.survives("polling instead of kernel events")


AS_SHIPPED = {
    f"TRIAGE_{name.upper()}": str(Settings.model_fields[name].default) for name in ("claim_size", "rescan_seconds")
}
"""A listing of so many files every other second, as elsewhere here, would be most of the work."""


def many(count: int) -> dict[str, Drop]:
    """So many files in folders of a hundred; `DIFFERENT` of them differ."""
    contents = list(pictures(DIFFERENT).values())
    return {f"{number // 100}/{number}.png": contents[number % DIFFERENT] for number in range(count)}


@pytest.mark.long
@pytest.mark.timeout(LONG_SECONDS)
def test_ten_thousand_files_at_once(ground: Ground) -> None:
    ground.deployment.environment |= AS_SHIPPED
    ground.deployment.start()
    ground.drop(many(10_000))
    ground.survives("10,000 files at once, 200 of them different", LONG_SECONDS)


@pytest.mark.long
@pytest.mark.timeout(LONG_SECONDS)
def test_more_events_than_the_kernel_keeps(ground: Ground) -> None:
    """20,000 files written while the worker stands still: the queue of inotify overflows, and events are lost."""
    ground.deployment.environment |= AS_SHIPPED
    worker = ground.deployment.start()
    worker.process.send_signal(signal.SIGSTOP)
    ground.drop(many(20_000))
    worker.process.send_signal(signal.SIGCONT)
    ground.survives("20,000 files while the watcher stands still", LONG_SECONDS)
