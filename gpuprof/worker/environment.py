"""Facts about the machine that only a process with torch can find."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from gpuprof.messages import Environment
from gpuprof.worker import device
from gpuprof.worker.channel import Channel


def describe(request: Environment, channel: Channel) -> dict[str, Any]:
    """torch's version and build, the libraries below it and the GPUs that it can use."""
    count, why = device.gpu_count()  # before anything else wakes CUDA: torch says only once why it cannot
    libraries = device.library_versions()
    for package in ("numpy", "torchvision", "triton"):
        try:
            libraries[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "torch": str(torch.__version__),
        "torch_build": device.build(),
        "libraries": libraries,
        "architectures": torch.cuda.get_arch_list(),
        "gpus": [device.describe_gpu(index) for index in range(count)],
        "no_gpu": why,
    }
