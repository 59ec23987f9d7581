"""Nothing that runs code when it is read: no pickle and its kin in our sources, and none taken from a model folder."""

import ast
import pickle
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from trainer.runtime.bundle import NOVELTY
from trainer.runtime.novelty import TrainingSubspace

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGES = ("worker", "trainer", "reports", "migrations")
MODULES = frozenset(
    {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "jsonpickle", "marshal", "shelve"}
)
CALLS = frozenset(
    {"torch.load", "torch.jit.load", "yaml.load", "yaml.unsafe_load", "pandas.read_pickle", "eval", "exec"}
)
TAKES_A_FLAG = frozenset({"np.load", "numpy.load", "np.lib.format.read_array"})


def dangers(source: str) -> list[str]:
    """What of it may run code that it reads."""
    return [danger for node in ast.walk(ast.parse(source)) for danger in _dangers_of(node)]


def _dangers_of(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name.split(".")[0] in MODULES)
    elif isinstance(node, ast.ImportFrom) and node.module:
        names = [f"{node.module}.{alias.name}" for alias in node.names]
        yield from (name for name in names if node.module.split(".")[0] in MODULES or name in CALLS)
    elif isinstance(node, ast.Constant) and node.value in MODULES:
        yield f"the text {node.value!r}"  # as a serializer's name, or of a module that is imported by name
    elif isinstance(node, ast.Call):
        yield from _dangers_of_call(node)


def _dangers_of_call(node: ast.Call) -> Iterator[str]:
    name = ast.unparse(node.func)
    flags = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
    if name in CALLS:
        yield name
    if flags.get("allow_pickle", "False") != "False" or (name in TAKES_A_FLAG and "allow_pickle" not in flags):
        yield f"{name} without allow_pickle=False"


@pytest.mark.parametrize("package", PACKAGES)
def test_no_source_reads_what_could_run(package: str) -> None:
    sources = sorted((REPOSITORY / package).rglob("*.py"))
    assert sources
    found = {str(path.relative_to(REPOSITORY)): dangers(path.read_text()) for path in sources}
    assert {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle", "import pickle as p", "from pickle import loads", "import joblib.hashing",
        "from torch import load",
        "torch.load('a')", "np.load('a')", "np.load('a', allow_pickle=True)", "np.load('a', allow_pickle=flag)",
        "task(serializer='pickle')", "importlib.import_module('dill')", "eval('1')", "def f():\n    import shelve",
    ],
)  # fmt: skip
def test_the_search_finds_them(source: str) -> None:
    assert dangers(source)


class Exploit:
    """Makes a file when it is unpickled."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.proof,)


def test_objects_in_a_numpy_file_are_refused_unread(tmp_path: Path) -> None:
    proof, path = tmp_path / "proof", tmp_path / NOVELTY
    objects = np.array([Exploit(proof)], dtype=object)
    np.savez(path, mean=objects, components=objects)
    with pytest.raises(ValueError, match="allow_pickle"):
        TrainingSubspace.read(path)
    assert not proof.exists()
    with np.load(path, allow_pickle=True) as content:
        assert content["mean"].dtype == object
    assert proof.exists()  # the file would have done it


def test_nor_is_a_bare_pickle_under_that_name(tmp_path: Path) -> None:
    proof, path = tmp_path / "proof", tmp_path / NOVELTY
    for content in (pickle.dumps(Exploit(proof)), _zipped(pickle.dumps(Exploit(proof)))):
        path.write_bytes(content)
        with pytest.raises((ValueError, zipfile.BadZipFile)):
            TrainingSubspace.read(path)
        assert not proof.exists()


def _zipped(content: bytes) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in ("mean.npy", "components.npy"):
            archive.writestr(name, content)
    return buffer.getvalue()
