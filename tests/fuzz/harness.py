"""The three fuzzers' common part: corpus, limits, instrumented imports. `make fuzz TARGET=images MINUTES=10`.

Only Python is instrumented: what the C of the decoders does is seen by its crashes, not by its branches. Inputs that
were interesting stay in runs/fuzz/, so that the next run goes on from them; what breaks a target is written to
tests/data/fuzz/, where `tests/fuzz/test_replay.py` finds it.
"""

import hashlib
import logging
import sys
import tempfile
from pathlib import Path

import atheris

REPOSITORY = Path(__file__).resolve().parents[2]
INPUT_SECONDS = 10
MEMORY_MIB = 1500
MOST_BYTES = 64 * 1024
INSTRUMENTED = ["PIL", "pydicom", "worker.intake", "zipfile"]


def fuzz(name: str) -> None:
    """Run one target with libFuzzer's arguments from the command line; ends the process."""
    with atheris.instrument_imports(include=INSTRUMENTED):
        from tests.fuzz.seeds import seeds
        from tests.fuzz.targets import TARGETS
    logging.disable()
    corpus, findings = REPOSITORY / "runs" / "fuzz" / name, REPOSITORY / "tests" / "data" / "fuzz" / name
    for folder in (corpus, findings):
        folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds(name):
        (corpus / f"seed-{hashlib.sha256(seed).hexdigest()[:16]}").write_bytes(seed)
    with tempfile.TemporaryDirectory(prefix="triage-fuzz-") as scratch:
        arguments = [
            sys.argv[0],
            str(corpus),
            str(findings),
            f"-artifact_prefix={findings}/",
            f"-timeout={INPUT_SECONDS}",
            f"-rss_limit_mb={MEMORY_MIB}",
            f"-max_len={MOST_BYTES}",
            *sys.argv[1:],
        ]
        atheris.Setup(arguments, lambda data: TARGETS[name](data, Path(scratch)))
        atheris.Fuzz()
