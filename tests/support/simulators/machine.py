"""A machine with a simulated GPU for all that look at it: torch, and whoever reads the vendor's library."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

from . import cuda, load, variables

# What torch says of these models, and their scenarios do not hold: multiprocessors or compute units, capability, and
# the architecture of a ROCm build. H100 SXM and MI300X: their data sheets; (9, 4) is PyTorch's answer for gfx942.
MODELS: dict[str, tuple[int, tuple[int, int], str | None]] = {
    "h100": (132, (9, 0), None), "mi300x_spx": (304, (9, 4), "gfx942:sramecc+:xnack-"),
}  # fmt: skip


def machine(model: str, libraries: Path, cuda_libraries: Path, place: Path, **more: Any) -> dict[str, str]:
    """Variables under which gpuprof, its workers and its sensors see one GPU of this model.

    `libraries` and `cuda_libraries` are built (`simulators.build`, `cuda.build`); `place` is an empty directory. Its
    power is that of the model's own scenario, low at rest and high at work, and follows what the simulated runtime is
    given to do. `more` goes to `cuda.variables`.
    """
    said = load(model)["gpus"][0]
    watts = said["power"]["low_w"], said["power"]["high_w"]
    power = {"kind": "followed", "w": watts[0], "file": "load.txt"}
    scenario = load({"gpus": [{"like": model, "processes": [], "power": power}]})
    (place / "load.txt").touch()
    *numbers, rocm = MODELS[model]
    return {
        **variables(libraries, scenario, place),
        **cuda.variables(cuda_libraries, [device(scenario["gpus"][0], *numbers)], rocm=rocm,
                         power=(place / "load.txt", *watts), **more),
    }  # fmt: skip


def device(gpu: dict[str, Any], multiprocessors: int, capability: tuple[int, int]) -> cuda.Device:
    """A GPU of a scenario in torch's words. HIP writes the hex digits of a UUID as ASCII into its 16 bytes."""
    if gpu["vendor"] == "nvidia":
        name = uuid.UUID(gpu["uuid"].removeprefix("GPU-"))
    else:
        name = uuid.UUID(bytes=gpu["hip_uuid"].removeprefix("GPU-").encode())
    bus = int(gpu["pci"].split(":")[1], 16)
    memory_bytes = gpu["memory_bytes"]["total"]
    return cuda.Device(f"Simulated {gpu['name']}", str(name), bus, memory_bytes, multiprocessors, capability)
