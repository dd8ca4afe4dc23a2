"""Facts of this machine, gathered once and judged in checks.py."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

from gpuprof.absent import Absent
from gpuprof.errors import GpuprofError
from gpuprof.record.run import Calibration
from gpuprof.supervisor.machine import session
from gpuprof.system import environment
from gpuprof.telemetry import all_devices, kept, open_backends
from gpuprof.telemetry.attribute import attribute
from gpuprof.telemetry.device import Backend, Device, Lost, NoReading
from gpuprof.telemetry.patience import patiently

TITLES = {"nvidia": "NVIDIA", "amd": "AMD"}
_PCI_VENDORS = {"0x10de": "nvidia", "0x1002": "amd"}
# Device files that are looked at.
_NODES = {"nvidia": ("dev/nvidia[0-9]*", "dev/nvidiactl", "dev/nvidia-uvm"), "amd": ("dev/kfd", "dev/dri/renderD*")}
# Filters in the order in which they are applied. AMD's HIP reads CUDA_VISIBLE_DEVICES where it has no list of its own.
FIRST_FILTER = "ROCR_VISIBLE_DEVICES"
FILTERS = {
    "nvidia": ("CUDA_VISIBLE_DEVICES",),
    "amd": (FIRST_FILTER, "HIP_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL"),
}
LIBCUDA = "libcuda.so.1"
VARIABLES = {*FILTERS["amd"], "NVIDIA_DRIVER_CAPABILITIES", "HSA_OVERRIDE_GFX_VERSION"}


class Node(NamedTuple):
    """A device file; `writable` if this user may open it for reading and writing, `group` None if `gid` has no name."""

    vendor: str
    path: str
    writable: bool
    gid: int
    group: str | None


class Card(NamedTuple):
    """A display controller or accelerator on the PCI bus; `driver` is None without one, `device` is its PCI id."""

    vendor: str
    address: str
    device: str
    driver: str | None


class Library(NamedTuple):
    """A vendor library without its devices; the fields are those of `telemetry.device.Backend`."""

    vendor: str
    name: str
    version: str = ""
    fault: Absent | None = None
    fix: str = ""
    noise: str = ""
    unusable: tuple[str, ...] = ()


@dataclass(frozen=True)
class Seen:
    """A device as its vendor library reports it: quantities by key, each either in `values` or in `absent`.

    A device that was lost while it was read has only "device" in `absent`.
    """

    vendor: str
    id: str
    values: Mapping[str, Any] = field(default_factory=dict)
    absent: Mapping[str, NoReading] = field(default_factory=dict)
    shared_by: int | None = 1
    simulated: bool = False
    calibration: Calibration | Absent | None = None  # of its energy counter; None where there is no counter


@dataclass(frozen=True)
class Torch:
    """torch as a worker reports it: `build` is "cuda", "rocm" or "cpu", `toolkit` the version of CUDA or HIP.

    `gpus` are fields of `record.run.Device`, `architectures` the targets it has code for (empty: unknown),
    `unattributed` the reasons why GPUs' sensors could not be identified, `no_gpu` what torch says where it sees none.
    """

    version: str
    build: str
    toolkit: str = ""
    gpus: tuple[Mapping[str, Any], ...] = ()
    architectures: tuple[str, ...] = ()
    unattributed: tuple[str, ...] = ()
    no_gpu: str = ""


NOT_ASKED = Absent("torch was not started")


@dataclass(frozen=True)
class Facts:
    """Everything that the checks judge. `torch` is absent where it cannot be used, or was not asked (NOT_ASKED)."""

    torch: Torch | Absent = NOT_ASKED
    libraries: tuple[Library, ...] = ()
    gpus: tuple[Seen, ...] = ()
    cpu: Seen = Seen("cpu", "cpu")
    variables: Mapping[str, str] = field(default_factory=dict)
    nodes: tuple[Node, ...] = ()
    groups: tuple[int, ...] = ()
    cards: tuple[Card, ...] = ()
    packages: Mapping[str, str] = field(default_factory=dict)
    container: str | None = None
    wsl: bool = False
    compile_lacks: tuple[str, ...] = ()  # what torch.compile needs of this machine and does not find

    def has(self, vendor: str) -> bool:
        """Whether there is a real GPU of this vendor: on the bus, in its library or seen by torch."""
        return (
            any(card.vendor == vendor for card in self.cards)
            or any(gpu.vendor == vendor and not gpu.simulated for gpu in self.gpus)
            or bool(self.visible(vendor))
        )

    def visible(self, vendor: str) -> int:
        """How many GPUs of this vendor torch sees; 0 also where torch was not asked."""
        return 0 if isinstance(self.torch, Absent) else sum(gpu["vendor"] == vendor for gpu in self.torch.gpus)

    def listed(self, vendor: str) -> list[Seen]:
        """The GPUs in this vendor's library, simulated ones included."""
        return [gpu for gpu in self.gpus if gpu.vendor == vendor]


def gather(quick: bool, root: Path = Path("/")) -> Facts:
    """Look at this machine; with `quick` no process with torch is started. `root` is where /dev, /proc and /sys are."""
    variables = {name: os.environ[name] for name in sorted(VARIABLES) if name in os.environ}
    # Before torch is started, whose process would be listed as one that uses the GPU.
    backends = open_backends()
    devices = all_devices(backends)
    seen = [_seen(device) for device in devices]
    return Facts(
        torch=NOT_ASKED if quick else _ask_torch(devices, variables),
        libraries=tuple(_library(backend) for backend in backends if backend.vendor in TITLES),
        gpus=tuple(device for device in seen if device.vendor in TITLES),
        cpu=next((device for device in seen if device.vendor == "cpu"), Facts.cpu),
        variables=variables,
        nodes=tuple(_nodes(root)),
        groups=tuple(sorted({os.getegid(), *os.getgroups()})),
        cards=tuple(_cards(root)),
        packages=dict(_packages("torch", "nvidia-ml-py", "pynvml", "amdsmi")),
        container=environment.describe()["container"],
        wsl="microsoft" in _read(root / "proc/sys/kernel/osrelease").lower(),
        compile_lacks=tuple(_compile_lacks(nvidia=(root / "dev/nvidiactl").exists())),
    )


def _compile_lacks(*, nvidia: bool) -> Iterator[str]:
    """torch.compile builds C++ for a CPU, and for a GPU a small extension of Python that launches its kernels.

    That extension is linked with the NVIDIA driver's library, which Triton looks for in the linker's cache, and in
    LD_LIBRARY_PATH where the cache has none: one that a container was given beside both is not found.
    """
    if not any(map(shutil.which, filter(None, (os.environ.get("CXX"), os.environ.get("CC"), "g++", "gcc", "clang")))):
        yield "C++ compiler"
    if not Path(sysconfig.get_paths()["include"], "Python.h").is_file():
        yield "Python.h"
    if nvidia and not _has_libcuda():
        yield LIBCUDA


def _has_libcuda() -> bool:
    if "TRITON_LIBCUDA_PATH" in os.environ:
        return True
    listed = ""
    with suppress(OSError, subprocess.SubprocessError):
        listed = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, timeout=10, check=True).stdout
    folders = os.environ.get("LD_LIBRARY_PATH", "").split(":")
    return LIBCUDA in listed or any(Path(folder, LIBCUDA).exists() for folder in folders if folder)


def _ask_torch(devices: Sequence[Device], variables: Mapping[str, str]) -> Torch | Absent:
    try:
        with session() as inspector:
            machine = inspector.machine()
    except GpuprofError as error:
        return Absent(str(error).removeprefix("PyTorch cannot be used: "))
    build = machine.torch["torch_build"]
    matches = [attribute(devices, gpu, variables) for gpu in machine.gpus]
    return Torch(
        version=machine.torch["torch"],
        build=build,
        toolkit=machine.torch.get("libraries", {}).get("hip" if build == "rocm" else "cuda", ""),
        gpus=tuple(machine.gpus),
        architectures=machine.architectures,
        unattributed=tuple(match.reason for match in matches if isinstance(match, Absent)),
        no_gpu=machine.no_gpu,
    )


def _library(backend: Backend) -> Library:
    return Library(
        backend.vendor, backend.library, backend.version, backend.fault, backend.fix, backend.noise, backend.unusable
    )


def _seen(device: Device) -> Seen:
    answers: dict[str, Any] = {}

    def read() -> dict[str, Any]:
        parts = device.read_identity() | device.read_facts() | device.attributed().signals()
        return parts | {"throttle_counters": device.throttle_counters()}

    try:
        answers = patiently(read)[0]
    except Lost as lost:
        answers["device"] = NoReading(str(lost), "lost")
    values = {key: value for key, value in answers.items() if not isinstance(value, NoReading)}
    absent = {key: value for key, value in answers.items() if isinstance(value, NoReading)}
    calibration = kept.kept(device, values.get("driver_version")) if "energy_j" in values else None
    return Seen(device.vendor, device.id, values, absent, device.power.shared_by, device.simulated, calibration)


def _nodes(root: Path) -> Iterator[Node]:
    import grp

    for vendor, patterns in _NODES.items():
        for path in sorted(path for pattern in patterns for path in root.glob(pattern)):
            group = None
            with suppress(OSError):
                gid = path.stat().st_gid
                with suppress(KeyError):
                    group = grp.getgrgid(gid).gr_name
                yield Node(vendor, f"/{path.relative_to(root)}", os.access(path, os.R_OK | os.W_OK), gid, group)


def _cards(root: Path) -> Iterator[Card]:
    for folder in sorted((root / "sys/bus/pci/devices").glob("*")):
        vendor = _PCI_VENDORS.get(_read(folder / "vendor"))
        # 0x03: display, VGA and 3D controllers; 0x12: processing accelerators, the class of AMD's Instinct
        if vendor and _read(folder / "class").startswith(("0x03", "0x12")):
            driver = (folder / "driver").resolve().name if (folder / "driver").exists() else None
            yield Card(vendor, folder.name, _read(folder / "device"), driver)


def _packages(*names: str) -> Iterator[tuple[str, str]]:
    for name in names:
        with suppress(PackageNotFoundError):
            yield name, version(name)


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", errors="replace").strip()
    except OSError:
        return ""
