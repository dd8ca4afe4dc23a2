"""The registry: every module of networks/ that does not start with `_` is a workload, named after its file.

A workload module is read without torch (for `--dry-run` and for checking configurations); its network is built by
functions that import torch themselves.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil

from gpuprof.workloads import networks
from gpuprof.workloads.workload import Workload


@functools.cache
def names() -> tuple[str, ...]:
    return tuple(sorted(m.name for m in pkgutil.iter_modules(networks.__path__) if not m.name.startswith("_")))


def get(name: str) -> Workload:
    """The workload of that name; KeyError when there is none."""
    if name not in names():
        raise KeyError(name)
    workload: Workload = importlib.import_module(f"{networks.__name__}.{name}").WORKLOAD
    return workload
