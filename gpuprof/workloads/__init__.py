"""The registry: every module of a folder in FOLDERS that does not start with `_` is a workload, named after its file.

A workload module is read without torch (for `--dry-run` and for checking configurations); what it runs is built by
functions that import torch themselves.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from types import ModuleType

from gpuprof.workloads import networks
from gpuprof.workloads.workload import Workload

FOLDERS: tuple[ModuleType, ...] = (networks,)


@functools.cache
def _modules() -> dict[str, str]:
    """The module of each workload, by its name. ValueError where two folders have a workload of the same name."""
    modules: dict[str, str] = {}
    for folder in FOLDERS:
        for module in pkgutil.iter_modules(folder.__path__, f"{folder.__name__}."):
            name = module.name.rpartition(".")[2]
            if name in modules:
                raise ValueError(f"two workloads are called {name}: {modules[name]} and {module.name}")
            if not name.startswith("_"):
                modules[name] = module.name
    return modules


def names() -> tuple[str, ...]:
    """Names of all workloads, in alphabetical order."""
    return tuple(sorted(_modules()))


def get(name: str) -> Workload:
    """The workload of that name; KeyError when there is none."""
    workload: Workload = importlib.import_module(_modules()[name]).WORKLOAD
    return workload
