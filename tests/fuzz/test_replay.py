"""What fuzzing found, and what it starts from, once more: quick, without a fuzzer."""

from pathlib import Path

import pytest

from tests.fuzz.seeds import REPOSITORY, seeds
from tests.fuzz.targets import TARGETS

FINDINGS = REPOSITORY / "tests" / "data" / "fuzz"


@pytest.mark.parametrize("target", TARGETS)
def test_seeds_are_read_and_findings_break_nothing_now(target: str, tmp_path: Path) -> None:
    for path in sorted((FINDINGS / target).glob("*")):
        TARGETS[target](path.read_bytes(), tmp_path)
    accepted = [TARGETS[target](seed, tmp_path) for seed in seeds(target)]
    assert sum(accepted) >= 2, "the seeds do not reach what lies behind the first look"
