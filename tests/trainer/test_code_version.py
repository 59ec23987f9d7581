"""The commit of the code, where git knows the code."""

import subprocess
from pathlib import Path

import pytest

from trainer.code_version import code_commit

IDENTITY = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *IDENTITY, *arguments], check=True, capture_output=True, text=True, timeout=60
    )
    return done.stdout.strip()


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package in a repository of its own, committed, tagged."""
    package = tmp_path / "repository" / "package"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    git(package, "init", "--quiet")
    git(package, "add", "__init__.py")
    git(package, "commit", "--quiet", "--message", "first")
    git(package, "tag", "v1")
    return package


def test_a_commit_and_whether_files_differ(package: Path) -> None:
    commit = git(package, "rev-parse", "HEAD")
    assert code_commit(package) == commit
    (package / "__init__.py").write_text("changed = True\n")
    assert code_commit(package) == f"{commit}-dirty"


def test_a_package_installed_below_somebody_elses_repository(package: Path) -> None:
    installed = package.parent / ".venv" / "package"
    installed.mkdir(parents=True)
    (installed / "__init__.py").write_text("")
    assert code_commit(installed) is None


def test_no_repository_and_no_git(tmp_path: Path, package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "__init__.py").write_text("")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert code_commit(tmp_path) is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert code_commit(package) is None
