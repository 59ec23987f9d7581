"""The files around the code: lock, Makefile, compose file, image, samples.

TestDependencies: what is declared and what is pinned
TestMakefile: help, demo, secrets
TestCompose: the compose file against the specification and against our own settings
TestImage: what the Dockerfile copies
TestSamples: the sample scans are the published ones
TestLightWorker: the worker runs where no torch is installed
"""

import hashlib
import importlib
import re
import shutil
import subprocess
import sys
import tomllib
import urllib.request
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
QUEUES = {"intake", "inference", "reports"}
SETTING = re.compile(r"\bTRIAGE_[A-Z0-9_]+")


def requirements(lines: list[str]) -> dict[str, Requirement]:
    parsed = [Requirement(line) for line in lines]
    return {canonicalize_name(requirement.name): requirement for requirement in parsed}


def pins() -> dict[str, Version]:
    """Constraint lines `name==version ; marker` by name."""
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and line.lstrip()[0] != "#"]
    return {name: Version(next(iter(r.specifier)).version) for name, r in requirements(lines).items()}


def make(*arguments: str, cwd: Path = ROOT, **environment: str) -> str:
    path = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
    done = subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=cwd, env=path | environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with what the file-handling targets of the Makefile touch."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copytree(ROOT / "samples", tmp_path / "samples")
    return tmp_path


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """docker-compose.yml with anchors and merges resolved."""
    loaded: dict[str, Any] = YAML(typ="safe").load(ROOT / "docker-compose.yml")
    return loaded


@pytest.fixture(scope="module")
def workers(compose: dict[str, Any]) -> dict[str, Any]:
    return {name: service for name, service in compose["services"].items() if "celery" in service.get("command", [])}


class TestDependencies:
    def test_the_worker_is_light(self) -> None:
        base = requirements(PYPROJECT["project"]["dependencies"])
        assert not base.keys() & {"torch", "torchvision", "matplotlib", "scipy", "pandas", "opencv-python"}

    def test_evaluating_needs_no_torch_and_training_includes_it(self) -> None:
        extras = PYPROJECT["project"]["optional-dependencies"]
        assert requirements(extras["evaluate"]).keys() == {"imagehash", "matplotlib", "pycocotools", "scipy"}
        assert requirements(extras["train"])["brain-mri-triage"].extras == {"evaluate"}

    def test_decoders_that_kill_the_process_are_left_out(self) -> None:
        assert not pins().keys() & {"python-gdcm", "pylibjpeg-rle"}

    def test_the_engines_are_pinned_to_what_was_measured(self) -> None:
        locked = pins()
        assert (str(locked["torch"]), str(locked["torchvision"])) == ("2.14.1", "0.29.1")

    def test_pydicom_has_the_fix_of_cve_2026_32711(self) -> None:
        declared = requirements(PYPROJECT["project"]["dependencies"])["pydicom"]
        assert not declared.specifier.contains("3.0.1")
        assert pins()["pydicom"] >= Version("3.0.2")

    def test_every_declared_requirement_is_locked_within_its_range(self) -> None:
        project = PYPROJECT["project"]
        groups = [project["dependencies"], *project["optional-dependencies"].values()]
        groups += PYPROJECT["dependency-groups"].values()
        locked = pins()
        declared = requirements([line for group in groups for line in group])
        del declared[project["name"]]  # an extra that includes another one of ours
        for name, requirement in declared.items():
            assert name in locked, f"{name} is not in constraints.txt: run `make lock`"
            assert requirement.specifier.contains(locked[name], prereleases=True), f"{name}: run `make lock`"

    def test_the_build_tools_are_locked_with_the_rest(self) -> None:
        build = requirements(PYPROJECT["build-system"]["requires"])
        assert build.keys() <= pins().keys()

    def test_the_lock_names_its_command_and_no_registry(self) -> None:
        text = (ROOT / "constraints.txt").read_text()
        assert "make lock" in text.splitlines()[1]
        assert not re.search(r"https?:|--(extra-)?index-url|--find-links|file:", text)


def advisories_can_be_asked() -> bool:
    """A mirror may know the packages, but not the versions of each, with which the advisories are."""
    try:
        with urllib.request.urlopen(f"https://pypi.org/pypi/pydicom/{version('pydicom')}/json", timeout=10):
            return True
    except HTTPError as error:
        error.close()
    except OSError:
        pass
    return False


class TestMakefile:
    def test_help_lists_every_target_and_is_the_default(self) -> None:
        text = make()
        phony = re.search(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert phony
        for target in phony[1].split():
            assert re.search(rf"^  make {re.escape(target)} +\S", text, re.MULTILINE), target
        assert make("help") == text

    def test_demo_fills_the_inbox_with_whole_files_only(self, checkout: Path) -> None:
        make("demo", cwd=checkout, TRIAGE_HOME=str(checkout / "a home"))
        given = {path.name: path.read_bytes() for path in (checkout / "a home" / "inbox").iterdir()}
        scans = [path for path in (checkout / "samples").rglob("*") if path.suffix in {".jpg", ".dcm"}]
        assert given == {path.name: path.read_bytes() for path in scans}

    def test_demo_uses_the_default_home(self, checkout: Path) -> None:
        make("demo", cwd=checkout)
        assert any((checkout / "triage-home" / "inbox").iterdir())

    def test_secrets_are_made_once_and_closed_to_others(self, checkout: Path) -> None:
        make("secrets", cwd=checkout)
        first = {path.name: path.read_text() for path in (checkout / "secrets").iterdir()}
        make("secrets", cwd=checkout)
        again = {path.name: path.read_text() for path in (checkout / "secrets").iterdir()}
        assert first == again
        assert all(re.fullmatch(r"[0-9a-f]{48}", secret) for secret in first.values())
        assert len(set(first.values())) == len(first) == 2
        assert (checkout / "secrets").stat().st_mode & 0o777 == 0o700

    @pytest.mark.parametrize("status", [0, 1])
    def test_the_audit_fails_where_it_found_something_or_could_not_ask(self, checkout: Path, status: int) -> None:
        program = checkout / ".venv" / "bin" / "pip-audit"
        program.parent.mkdir(parents=True)
        program.write_text(f'#!/bin/sh\necho "$@" > asked\nexit {status}\n')
        program.chmod(0o755)
        (checkout / ".venv" / ".installed-everything").touch()
        done = subprocess.run(
            ["make", "audit", "-o", ".venv/.installed-everything"],
            cwd=checkout, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert (done.returncode != 0) is (status != 0), done.stderr
        assert ("nothing is known" in done.stderr) is (status != 0)
        asked = (checkout / "asked").read_text().split()
        # without --strict a package that could not be looked up counts as clean
        assert {"--strict", "--requirement", "constraints.txt"} <= set(asked)

    def test_no_pinned_package_has_a_known_hole(self) -> None:
        if not advisories_can_be_asked():
            pytest.skip("PyPI's advisories cannot be asked from here: `make audit` elsewhere")
        done = subprocess.run(["make", "audit"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=240)
        assert done.returncode == 0, done.stdout + done.stderr

    def test_continuous_integration_only_calls_make_test(self) -> None:
        lines = (ROOT / ".ci" / "run").read_text().splitlines()
        assert [line for line in lines if "make" in line] == ["time make test"]


class TestCompose:
    def test_it_follows_the_compose_specification(self) -> None:
        check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
        done = subprocess.run(
            [*check, "docker-compose.yml"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def test_the_workers_consume_every_queue_once(self, workers: dict[str, Any]) -> None:
        consumed = [
            queue
            for service in workers.values()
            if not service.get("profiles")
            for queue in service["command"][service["command"].index("-Q") + 1].split(",")
        ]
        assert sorted(consumed) == sorted(QUEUES)

    def test_the_gpu_worker_starts_on_demand_only(self, workers: dict[str, Any]) -> None:
        gpu = workers["inference-gpu"]
        assert gpu["profiles"] == ["gpu"]
        assert gpu["build"]["target"] == "worker-gpu"
        assert gpu["environment"]["TRIAGE_ENGINE"] == "torch"
        assert gpu["environment"]["TRIAGE_CONCURRENCY"] == "1"
        devices = gpu["deploy"]["resources"]["reservations"]["devices"]
        assert devices[0]["capabilities"] == ["gpu"]

    def test_every_service_has_health_and_restart_and_no_port(self, compose: dict[str, Any]) -> None:
        for name, service in compose["services"].items():
            assert service["healthcheck"]["test"], name
            assert service["restart"] == "unless-stopped", name
            assert service["read_only"], name
            assert "ports" not in service, name

    def test_the_workers_are_not_root_and_have_time_to_stop(self, workers: dict[str, Any]) -> None:
        for name, service in workers.items():
            assert not service["user"].startswith(("0", "root")), name
            assert service["cap_drop"] == ["ALL"], name
            assert service["stop_grace_period"] == "60s", name

    @pytest.mark.parametrize("file", ["docker-compose.yml", "Dockerfile", ".env.example", "Makefile"])
    def test_every_setting_named_exists(self, file: str) -> None:
        fields = importlib.import_module("worker.settings").Settings.model_fields
        named = {name.removeprefix("TRIAGE_").lower() for name in SETTING.findall((ROOT / file).read_text())}
        assert named
        assert named <= fields.keys()

    def test_the_settings_of_the_workers_are_valid(self, workers: dict[str, Any]) -> None:
        settings = importlib.import_module("worker.settings").Settings
        for service in workers.values():
            given = {name.removeprefix("TRIAGE_").lower(): value for name, value in service["environment"].items()}
            assert settings(**given).engine == given["engine"]

    def test_no_secret_stands_in_the_file(self, compose: dict[str, Any]) -> None:
        for name, secret in compose["secrets"].items():
            assert secret == {"file": f"./secrets/{name.replace('_', '-')}.txt"}
        for service in compose["services"].values():
            for variable, value in service.get("environment", {}).items():
                if re.search("PASSWORD|SECRET|TOKEN|KEY", variable):
                    assert variable.endswith("_FILE")
                    assert value.removeprefix("/run/secrets/") in service["secrets"]
                assert not re.search(r"://[^/@]*:[^/@]+@", str(value)), f"{variable} holds a password"


class TestImage:
    def test_only_named_paths_reach_the_build(self) -> None:
        lines = (ROOT / ".dockerignore").read_text().splitlines()
        rules = [line for line in lines if line and not line.startswith("#")]
        assert rules[0] == "*"
        assert not {"!secrets", "!samples", "!.env", "!.git"} & set(rules)

    def test_every_package_and_the_models_reach_it(self) -> None:
        rules = set((ROOT / ".dockerignore").read_text().splitlines())
        packages = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
        assert {f"!{name}" for name in [*packages, "models", "pyproject.toml", "constraints.txt"]} <= rules

    def test_the_compose_targets_exist_and_are_not_root(self) -> None:
        stages = re.split(r"^FROM ", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
        for target in ("worker", "worker-gpu"):
            stage = next(text for text in stages if text.splitlines()[0].endswith(f" AS {target}"))
            assert stage.rstrip().endswith("USER triage")


class TestSamples:
    def test_they_are_the_published_bytes_and_nothing_else(self) -> None:
        folder = ROOT / "samples"
        listed = {}
        for line in (folder / "SHA256SUMS").read_text().splitlines():
            digest, _, name = line.partition("  ")
            listed[name] = digest
        found = {path for path in folder.rglob("*") if path.is_file() and path.name not in {"README.md", "SHA256SUMS"}}
        assert {path.relative_to(folder).as_posix() for path in found} == listed.keys()
        for path in found:
            assert hashlib.sha256(path.read_bytes()).hexdigest() == listed[path.relative_to(folder).as_posix()]

    def test_two_images_a_class_and_one_short_series(self) -> None:
        counts = {path.name: len(list(path.iterdir())) for path in (ROOT / "samples").iterdir() if path.is_dir()}
        assert counts == {"Glioma": 2, "Meningioma": 2, "No Tumor": 2, "Pituitary": 2, "t1-axial": 3}


class TestLightWorker:
    @pytest.mark.parametrize("module", ["worker.celery", "worker.cli"])
    def test_it_imports_where_no_torch_is_installed(self, module: str) -> None:
        blocked = "torch", "torchvision", "matplotlib", "pandas", "scipy"
        code = f"import sys; sys.modules.update(dict.fromkeys({blocked})); import {module}"
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stderr
