"""Which commit of this code is running, for the records of a run."""

import os
import shutil
import subprocess
from pathlib import Path

GIT_TIMEOUT_S = 20


def code_commit(folder: Path = Path(__file__).parent) -> str | None:
    """Git's commit of the code in `folder`, with `-dirty` where files differ; `None` where git does not know it."""
    git = shutil.which("git")
    # a package installed into a project of the user's stands inside a repository, but is none of its files
    if git is None or _ask(git, folder, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    return _ask(git, folder, "describe", "--always", "--dirty", "--exclude=*", "--abbrev=40")


def _ask(git: str, folder: Path, *arguments: str) -> str | None:
    # --dirty would write a refreshed index otherwise: two runs that start together must not lock each other out
    environment = os.environ | {"GIT_OPTIONAL_LOCKS": "0"}
    try:
        done = subprocess.run(  # noqa: S603  git from PATH, with arguments of our own
            [git, "-C", str(folder), *arguments],
            capture_output=True, text=True, check=True, timeout=GIT_TIMEOUT_S, env=environment,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
