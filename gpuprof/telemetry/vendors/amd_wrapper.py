"""Where the Python package amdsmi is found, and what is wrong where none can be used. Only this file imports it."""

from __future__ import annotations

import ctypes
import importlib
import os
import re
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from gpuprof.telemetry.device import NoReading

_LIBRARY, _MODULE = "libamd_smi.so", "amdsmi.amdsmi_wrapper"
_ROCM = Path("/opt/rocm")
_ROOT = "ROCM_PATH"
UNLOADABLE = f"{_LIBRARY} could not be loaded"  # in the reason, where the library is there and the loader refuses it


def _candidates() -> Iterator[tuple[Path | None, str]]:
    """(folder to import amdsmi from, its origin in words): ROCm's own first, since only that one is sure to fit."""
    sdk = Path(sysconfig.get_paths()["purelib"]) / "_rocm_sdk_core"
    releases = sorted(_ROCM.glob("core-*"), key=_numbers, reverse=True)
    for root in (*_told(), sdk, _ROCM, *releases):
        folder = root / "share" / "amd_smi"
        with suppress(OSError):  # a folder that this user may not look into
            if (folder / "amdsmi" / "__init__.py").is_file():
                yield folder, f"amdsmi from {root}"
    yield None, "amdsmi in this Python"


def _told() -> list[Path]:
    """Where this user's variables say that ROCm is."""
    return [Path(os.environ[name]) for name in ("ROCM_HOME", _ROOT) if os.environ.get(name)]


def _numbers(folder: Path) -> list[int]:
    """A release's numbers, to sort by: 10.0 comes after 9.1."""
    return [int(number) for number in re.findall(r"\d+", folder.name)]


def find_wrapper() -> tuple[Any, str] | NoReading:
    """The module amdsmi_wrapper and its origin in words, or what is wrong with each of the candidates."""
    faults: list[str] = []
    for folder, origin in _candidates():
        before = list(sys.path)
        if folder is not None:
            sys.path.insert(0, str(folder))
        try:
            return _imported(folder), origin
        # An amdsmi without its library raises KeyError, one of another release AttributeError.
        except Exception as error:  # noqa: BLE001
            faults.append(f"{origin}: {_import_fault(error, _root(folder))}")
            _forget()
        finally:
            sys.path[:] = before
    return NoReading("; ".join(faults), "unsupported")


def _root(folder: Path | None) -> Path:
    """The ROCm that this amdsmi is part of, or whose library one of pip should load."""
    return folder.parents[1] if folder is not None else next(iter(_told()), _ROCM)


def _imported(folder: Path | None) -> Any:
    """The module. ROCm's own finds the library beside it where nobody has set ROCM_PATH.

    Those of ROCm 6.0 and 6.1 fail without that variable, ROCm's own and those of pip.
    """
    unset = _ROOT not in os.environ
    if unset and folder is not None:
        os.environ[_ROOT] = str(_root(folder))
    try:
        return importlib.import_module(_MODULE)
    except KeyError as error:
        if error.args != (_ROOT,):
            raise
        _forget()
        os.environ[_ROOT] = str(_root(folder))
        return importlib.import_module(_MODULE)
    finally:
        if unset:
            os.environ.pop(_ROOT, None)


def _forget() -> None:
    for name in [name for name in sys.modules if name == "amdsmi" or name.startswith("amdsmi.")]:
        del sys.modules[name]


def _import_fault(error: Exception, root: Path) -> str:
    if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] == "amdsmi":
        return "not installed"
    if isinstance(error, (KeyError, OSError)):
        return _load_fault(root)
    if isinstance(error, AttributeError):
        return f"it does not fit the installed {_LIBRARY} ({error})"
    return f"{type(error).__name__}: {error}"


def _load_fault(root: Path) -> str:
    """Why the library is not loaded, in the loader's words where it is there: wrappers print them, or drop them."""
    for place in (str(root / "lib" / _LIBRARY), _LIBRARY):
        try:
            ctypes.CDLL(place)
        except OSError as error:
            # The name before the colon is the file that was not found: the library itself, or one that it needs.
            missing = f"{place}: cannot open" in str(error) and "No such file" in str(error)
            if not missing:
                return f"{UNLOADABLE}: {error}"
    return f"{_LIBRARY} was not found"
