"""The one place that imports OpenVINO: without its telemetry.

`import openvino` alone reports itself to Google Analytics (openvino/tools/ovc/__init__.py, 2026.4) and leaves a client
id in ~/intel; so do `convert_model` and NNCF. The published way out, `opt_in_out --opt_out`, is a step for every user
of every machine, and reports the refusal itself. OpenVINO and NNCF both do without the package that sends, so it is
hidden from them. Linting forbids importing either anywhere else.
"""

import importlib
import sys
from typing import Any

SENDER = "openvino_telemetry"


def _import(name: str) -> Any:
    sys.modules[SENDER] = None  # type: ignore[assignment]  # makes `import` raise ModuleNotFoundError
    return importlib.import_module(name)


def import_openvino() -> Any:
    """The `openvino` package; for the whole life of the process it can report nothing.

    Raises:
        ModuleNotFoundError: it is not installed.
    """
    return _import("openvino")


def import_nncf() -> Any:
    """The `nncf` package, likewise.

    Raises:
        ModuleNotFoundError: it is not installed.
    """
    return _import("nncf")
