"""On the path of a process, it puts the process on the simulated CUDA device that SIM_CUDA_* describe.

A library that is loaded already stands for any other of its name, so that torch finds the simulated ones. gpuprof
itself knows nothing of this.
"""

from __future__ import annotations

import ctypes
import importlib.abc
import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

_NAMES = ("libcudart.so.13", "libcublas.so.13", "libcublasLt.so.13", "libcudnn.so.9", "libcuda.so.1")


class _AfterImport(importlib.abc.MetaPathFinder):
    """Changes modules right after their own code has run."""

    def __init__(self) -> None:
        self._changes: dict[str, Callable[[Any], None]] = {}

    def __call__(self, name: str, change: Callable[[Any], None]) -> None:
        self._changes[name] = change

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        change = self._changes.pop(name, None)
        if change is None:
            return None
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.loader is not None
        execute = spec.loader.exec_module

        def execute_and_change(module: Any) -> None:
            execute(module)
            change(module)

        spec.loader.exec_module = execute_and_change  # type: ignore[method-assign]
        return spec


def _part(name: str) -> Any:
    """A module beside this directory, which is no package to a process that knows nothing of the tests."""
    file = Path(__file__).parents[1] / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"sim_cuda_{name}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


if "SIM_CUDA_LIBRARIES" in os.environ:
    for _name in _NAMES:
        ctypes.CDLL(str(Path(os.environ["SIM_CUDA_LIBRARIES"]) / _name), mode=ctypes.RTLD_GLOBAL)
    _after = _AfterImport()
    sys.meta_path.insert(0, _after)
    if "SIM_CUDA_NUMBERS" in os.environ:
        _part("arithmetic").install(_after)
    if "SIM_CUDA_ROCM" in os.environ:
        _architecture, _, _tf32 = os.environ["SIM_CUDA_ROCM"].partition("|")
        _part("rocm").install(_after, _architecture, _tf32 == "tf32")
