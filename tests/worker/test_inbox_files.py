"""The inbox as files: which count, claiming by rename, names, clearing up."""

import os
import socket
import threading
import time
from pathlib import Path

import pytest

from worker import inbox_files
from worker.inbox_files import claim, claimed_file, list_inbox, original_name, rank_of

STRANGE_NAMES = [
    b"with space 'quote' \"double\".jpg",
    b"line\nbreak\ttab.jpg",
    "🧠 Ünïcode 脳.jpg".encode(),
    b"undecodable-\xff\xfe.jpg",
    b"-rf",
    b"%s{0}$HOME`id`.jpg",
    b"l" * 251 + b".jpg",
    b"no extension",
]


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    inbox = tmp_path / "inbox"
    (inbox / ".claimed").mkdir(parents=True)
    return inbox


@pytest.fixture
def claimed(inbox: Path) -> Path:
    return inbox / ".claimed"


def put(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


class TestListing:
    @pytest.mark.parametrize(
        "name",
        [".hidden", "a.part", "a.tmp", "a.filepart", "a.crdownload", "~$a.docx", "~a", "a.png~", "Thumbs.db",
         ".DS_Store", ".git/a.jpg", "~folder/a.jpg", "up.part/a.jpg"],
    )  # fmt: skip
    def test_ignored_until_renamed(self, inbox: Path, name: str) -> None:
        path = put(inbox / name)
        assert list(list_inbox(inbox)) == []
        assert inbox_files.is_ignored(Path(name))
        renamed = path.rename(inbox / "a.jpg")
        assert list(list_inbox(inbox)) == [renamed]

    @pytest.mark.parametrize(
        "name", ["a.jpg", "part", "a.part.jpg", "a~1.jpg", "tmp/a", "stat/a.dcm", "Thumbs.db.jpg", "thumb"]
    )
    def test_counts(self, inbox: Path, name: str) -> None:
        path = put(inbox / name)
        assert list(list_inbox(inbox)) == [path]

    @pytest.mark.parametrize("name", STRANGE_NAMES)
    def test_any_name_counts(self, inbox: Path, name: bytes) -> None:
        path = put(inbox / os.fsdecode(name))
        assert list(list_inbox(inbox)) == [path]

    def test_sub_folders_are_walked_and_claimed_ones_are_not(self, inbox: Path, claimed: Path) -> None:
        put(claimed / "c1" / "taken.jpg")
        paths = {put(inbox / name) for name in ("a.jpg", "ward/b.jpg", "ward/deep/er/c.jpg")}
        assert set(list_inbox(inbox)) == paths

    def test_links_pipes_and_sockets_are_never_listed(self, inbox: Path, tmp_path: Path) -> None:
        target = put(tmp_path / "outside" / "secret.jpg")
        (inbox / "link.jpg").symlink_to(target)
        (inbox / "folder").symlink_to(target.parent)
        (inbox / "dangling.jpg").symlink_to("nowhere")
        os.mkfifo(inbox / "pipe.jpg")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(inbox / "socket.jpg"))
            assert list(list_inbox(inbox)) == []

    def test_nothing_is_no_regular_file(self, inbox: Path) -> None:
        assert not inbox_files.is_regular(inbox / "gone")
        assert not inbox_files.is_regular(inbox)


class TestClaim:
    @pytest.mark.parametrize("name", STRANGE_NAMES)
    def test_the_file_moves_whole_into_a_folder_of_its_own(self, inbox: Path, claimed: Path, name: bytes) -> None:
        path = put(inbox / "ward" / os.fsdecode(name), b"bytes")
        claim_id = claim(inbox, claimed, path)
        assert claim_id is not None
        taken = claimed_file(claimed, claim_id)
        assert taken == claimed / claim_id / "ward" / os.fsdecode(name)
        assert taken.read_bytes() == b"bytes"
        assert not path.exists()

    def test_same_names_do_not_collide(self, inbox: Path, claimed: Path) -> None:
        ids = [claim(inbox, claimed, put(inbox / "a.jpg", content)) for content in (b"1", b"2")]
        assert [claimed_file(claimed, claim_id).read_bytes() for claim_id in ids] == [b"1", b"2"]

    def test_somebody_faster_leaves_nothing_behind(self, inbox: Path, claimed: Path) -> None:
        assert claim(inbox, claimed, inbox / "ward" / "gone.jpg") is None
        assert list(claimed.iterdir()) == []

    def test_a_race_has_one_winner_a_file(self, inbox: Path, claimed: Path) -> None:
        paths = [put(inbox / f"{number}.jpg") for number in range(100)]
        won: list[list[str]] = [[], []]
        start = threading.Barrier(2)

        def race(mine: list[str]) -> None:
            start.wait()
            mine += [found for path in paths if (found := claim(inbox, claimed, path)) is not None]

        threads = [threading.Thread(target=race, args=(mine,)) for mine in won]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert {path.name for path in claimed.iterdir()} == {*won[0], *won[1]}
        assert len(won[0]) + len(won[1]) == 100

    def test_a_file_that_cannot_be_taken_stays_and_says_so(self, inbox: Path, claimed: Path) -> None:
        path = put(inbox / "a.jpg")
        claimed.rmdir()
        claimed.write_text("in the way")
        with pytest.raises(NotADirectoryError):
            claim(inbox, claimed, path)
        assert path.exists()

    def test_a_claim_without_a_file(self, claimed: Path) -> None:
        (claimed / "empty").mkdir()
        assert claimed_file(claimed, "empty") is None
        assert claimed_file(claimed, "missing") is None

    def test_letting_go(self, inbox: Path, claimed: Path) -> None:
        claim_id = claim(inbox, claimed, put(inbox / "ward" / "a.jpg"))
        inbox_files.forget_claim(claimed, claim_id)
        inbox_files.forget_claim(claimed, claim_id)
        assert list(claimed.iterdir()) == []

    def test_claims_by_age(self, claimed: Path) -> None:
        for name, moment in (("old", 1000), ("new", 1995), ("by a clock set back", 3000)):
            (claimed / name).mkdir()
            os.utime(claimed / name, (moment, moment))
        assert sorted(inbox_files.claims_not_of_now(claimed, 2000, 10)) == ["by a clock set back", "old"]

    def test_a_claim_let_go_during_the_listing_is_left_out(
        self, claimed: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (claimed / "kept").mkdir()
        gone = claimed / "gone"
        monkeypatch.setattr(Path, "iterdir", lambda folder: iter([gone, folder / "kept"]))
        assert inbox_files.claims_not_of_now(claimed, time.time() + 60, 10) == ["kept"]


class TestNames:
    def test_below_the_inbox(self, claimed: Path) -> None:
        assert original_name(claimed, "c1", claimed / "c1" / "stat" / "ward 3" / "a b.jpg") == "stat/ward 3/a b.jpg"

    def test_undecodable_bytes_are_written_as_escapes(self, claimed: Path) -> None:
        name = original_name(claimed, "c1", claimed / "c1" / os.fsdecode(b"x-\xff\xe9.jpg"))
        assert name == "x-\\xff\\xe9.jpg"
        name.encode()  # any database takes it

    @pytest.mark.parametrize("name", ["stat/a.jpg", "stat/ward/a.jpg"])
    def test_files_below_the_urgent_folder_go_first(self, name: str) -> None:
        assert rank_of(name) == 0

    @pytest.mark.parametrize("name", ["a.jpg", "static/a.jpg", "ward/stat/a.jpg", "stat"])
    def test_others_do_not(self, name: str) -> None:
        assert rank_of(name) == 2


class TestClearing:
    def test_folders_with_files_somewhere_below(self, inbox: Path) -> None:
        put(inbox / "study" / "series" / "a.jpg")
        put(inbox / "kept" / ".keep")
        for folder in ("stat", "study/empty", ".claimed/c1"):
            (inbox / folder).mkdir(parents=True)
        looked_into = inbox_files.folders_with_files(inbox, inbox_files.folders(inbox))
        found = {str(path.relative_to(inbox)): files for path, files in looked_into.items()}
        assert found == {"study": True, "study/series": True, "study/empty": False, "kept": True}
        assert list(found).index("study") < list(found).index("study/series")

    def test_only_empty_folders_go(self, inbox: Path) -> None:
        (inbox / "study" / "series").mkdir(parents=True)
        path = put(inbox / "late" / "a.jpg")
        inbox_files.remove_folders([inbox / "study" / "series", inbox / "study", inbox / "late", inbox / "gone"])
        assert list(inbox_files.list_inbox(inbox)) == [path]
        assert not (inbox / "study").exists()


def test_a_file_that_somebody_may_still_write_to_is_known(inbox: Path) -> None:
    path = inbox / "slow.dcm"
    with path.open("wb") as writer:
        writer.write(b"half")
        writer.flush()
        assert inbox_files.is_being_written(path)
    assert not inbox_files.is_being_written(path)
    with path.open("rb"):
        assert not inbox_files.is_being_written(path)
    with path.open("r+b"):
        assert inbox_files.is_being_written(path)


def test_what_cannot_be_opened_is_not_being_written(inbox: Path) -> None:
    assert not inbox_files.is_being_written(inbox / "gone.dcm")
