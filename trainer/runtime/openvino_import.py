"""The one place that imports OpenVINO: without its telemetry.

`import openvino` alone reports itself to Google Analytics (openvino/tools/ovc/__init__.py, 2026.4) and leaves a client
id in ~/intel; so do `convert_model` and NNCF. The published way out, `opt_in_out --opt_out`, is a step for every user
of every machine, and reports the refusal itself. OpenVINO and NNCF both do without the package that sends, so it is
hidden from them. Linting forbids importing either anywhere else.
"""

import importlib
import sys
from functools import cache
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


@cache
def openvino_core() -> Any:
    """The process's one `openvino.Core`, for its whole life.

    On CPUs with AMX each core gives its thread a stack for signal handlers, and takes it away when it ends. Of two
    that overlap, the one that ends last gives back the stack of the other, which is gone: the next signal ends the
    process (`SigAltStackSetup` in OpenVINO's src/plugins/intel_cpu/src/plugin.cpp, 2026.4).

    Raises:
        ModuleNotFoundError: OpenVINO is not installed.
    """
    return import_openvino().Core()


def import_nncf() -> Any:
    """The `nncf` package, likewise.

    Raises:
        ModuleNotFoundError: it is not installed.
    """
    return _import("nncf")
