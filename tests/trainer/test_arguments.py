"""Numbers that cannot be meant are refused before anything is read or written."""

import argparse
from pathlib import Path

import pytest

from trainer import cross_validate, fit
from trainer.arguments import LARGEST_SEED, positive_integer, positive_number, seed_number


def test_what_is_meant_is_taken() -> None:
    assert (positive_integer("32"), seed_number("0"), seed_number(str(LARGEST_SEED))) == (32, 0, LARGEST_SEED)
    assert positive_number("0.5") == 0.5


@pytest.mark.parametrize("text", ["0", "-64", "1.5", "many", ""])
def test_no_positive_integer(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=f"'{text}' is not a whole number from 1 up"):
        positive_integer(text)


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "long"])
def test_no_positive_number(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=f"'{text}' is not a number above 0"):
        positive_number(text)


@pytest.mark.parametrize("text", ["-1", str(LARGEST_SEED + 1)])
def test_no_seed(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=f"'{text}' is not a whole number from 0 to 4294967295"):
        seed_number(text)


@pytest.mark.parametrize("command", [fit.main, cross_validate.main])
@pytest.mark.parametrize(
    "arguments",
    [
        ("--size", "-64"), ("--epochs", "-1"), ("--epochs", "0"), ("--batch-size", "0"), ("--limit", "0"),
        ("--minutes", "-1"), ("--rate-scale", "0"), ("--seed", "-1"),
    ],
)  # fmt: skip
def test_fit_and_cross_validate_refuse_them_alike(
    command: object, arguments: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert callable(command)
    with pytest.raises(SystemExit) as stopped:
        command([*arguments, "--data", str(tmp_path / "none")])
    assert stopped.value.code == 2
    assert f"argument {arguments[0]}: '{arguments[1]}' is not a " in capsys.readouterr().err.splitlines()[-1]
