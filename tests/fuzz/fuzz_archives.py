"""`python -m tests.fuzz.fuzz_archives -max_total_time=600`; see `tests/fuzz/harness.py`."""

from tests.fuzz.harness import fuzz

if __name__ == "__main__":
    fuzz("archives")
