"""PyTorch's CUDA build in the shape of its ROCm build, of which the package index has none.

What a program can see of the build is changed: versions, the architecture's name, the switches of MIOpen. What runs
below is the simulated CUDA device, so that nothing of HIP's, MIOpen's or hipBLASLt's own behaviour is shown by it.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

HIP = "7.0.51831"
MIOPEN = 3_005_000


def install(after: Callable[[str, Callable[[Any], None]], None], architecture: str, tf32: bool) -> None:
    """From now on torch is a ROCm build, on a GPU of this architecture ("gfx942:sramecc+:xnack-").

    Without `tf32` its hipBLASLt has no kernel for such products, as on architectures without xf32.
    """

    def change(torch: Any) -> None:
        torch.version.hip, torch.version.cuda = HIP, None
        properties = torch.cuda.get_device_properties
        torch.cuda.get_device_properties = lambda index=None: _Properties(properties(index), architecture)
        torch.cuda.get_arch_list = lambda: [architecture.partition(":")[0]]
        torch.backends.cudnn.version = lambda: MIOPEN
        torch.backends.miopen = types.SimpleNamespace(immediate=False)
        if not tf32:
            torch.matmul = _refusing(torch, torch.matmul)

    after("torch", change)


class _Properties:
    """Those of a device, with the name that a ROCm build gives its architecture."""

    def __init__(self, cuda: Any, architecture: str) -> None:
        self._cuda = cuda
        self.gcnArchName = architecture

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cuda, name)


def _refusing(torch: Any, plain: Callable[..., Any]) -> Callable[..., Any]:
    def matmul(a: Any, b: Any, **more: Any) -> Any:
        if a.dtype == torch.float32 and a.device.type == "cuda" and torch.backends.cuda.matmul.fp32_precision == "tf32":
            # As PyTorch words it (aten/src/ATen/cuda/CUDABlas.cpp).
            raise RuntimeError(
                "CUDA error: HIPBLAS_STATUS_NOT_SUPPORTED when calling `hipblasLtMatmulAlgoGetHeuristic(...)`"
            )
        return plain(a, b, **more)

    return matmul
