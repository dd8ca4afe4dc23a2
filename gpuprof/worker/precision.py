"""The precision requested, and the precision actually used.

`ieee` and `tf32` set torch's switches for float32 operations; `bf16` and `fp16` use autocast on top of ieee switches.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from gpuprof.absent import Absent
from gpuprof.worker.device import ComputeDevice

# torch 2.9 and newer: the name in the record, and torch's own. Asked for by these rather than as attributes, since
# `torch.backends.cudnn.rnn` is a module as soon as a recurrent layer has run (2.9 and 2.10; pytorch #166557).
_SWITCHES = {
    "matmul": ("cuda", "matmul"), "cudnn.conv": ("cuda", "conv"), "cudnn.rnn": ("cuda", "rnn"),
    "mkldnn.matmul": ("mkldnn", "matmul"), "mkldnn.conv": ("mkldnn", "conv"), "mkldnn.rnn": ("mkldnn", "rnn"),
}  # fmt: skip
_NAMED = hasattr(torch._C, "_set_fp32_precision_setter")
_AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}
# Relative error of a product of float32 operands against float64: in IEEE arithmetic about 1e-7, and up to some 1e-5
# by Winograd's algorithm for convolutions; in tf32 3e-4 where operands are rounded, 8e-4 where they are cut off, 1.3e-3
# on the MI300X, which cuts both; in bfloat16, which some switch may choose for it, 2.3e-3.
_IEEE_BELOW, _TF32_BELOW = 5e-5, 1.7e-3
_TYPES = {"float16": "fp16", "bfloat16": "bf16"}


def switch(precision: str) -> None:
    """Set every float32 switch of torch that concerns matmul, convolution and recurrent layers."""
    # The older switches first and to the same effect: parts of torch still read them, and raise where the two differ.
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    for backend, operation in _SWITCHES.values() if _NAMED else ():
        torch._C._set_fp32_precision_setter(backend, operation, "tf32" if precision == "tf32" else "ieee")


def flags() -> dict[str, Any]:
    """The switches as torch reports them, with the others that change arithmetic or the choice of algorithm."""
    read: dict[str, Any] = {
        "cudnn.benchmark": torch.backends.cudnn.benchmark,
        "cudnn.deterministic": torch.backends.cudnn.deterministic,
        "cudnn.enabled": torch.backends.cudnn.enabled,
        "miopen.immediate": getattr(getattr(torch.backends, "miopen", None), "immediate", None),
        "memory_format": "contiguous",
        "mkldnn.enabled": getattr(torch.backends.mkldnn, "enabled", None),
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
    }
    matmul = torch.backends.cuda.matmul
    for name in ("allow_fp16_reduced_precision_reduction", "allow_bf16_reduced_precision_reduction"):
        read[f"matmul.{name}"] = str(getattr(matmul, name, None))
    if _NAMED:
        read |= {f"fp32_precision.{n}": torch._C._get_fp32_precision_getter(*s) for n, s in _SWITCHES.items()}
    else:
        read["matmul.allow_tf32"] = matmul.allow_tf32
        read["cudnn.allow_tf32"] = torch.backends.cudnn.allow_tf32
    return read


def fused_recurrent(enabled: bool) -> None:
    """Use the vendor library's fused recurrent kernels, or torch's own cells on either vendor and on the CPU."""
    torch.backends.cudnn.enabled = enabled
    torch.backends.mkldnn.set_flags(enabled)


def autocast(device: ComputeDevice, precision: str) -> contextlib.AbstractContextManager[Any]:
    """The context of a forward pass; does nothing for ieee and tf32."""
    dtype = _AUTOCAST.get(precision)
    return contextlib.nullcontext() if dtype is None else torch.autocast(device.type, dtype=dtype)


def needs_scaler(precision: str) -> bool:
    """fp16 gradients underflow without loss scaling; bf16 has float32's range."""
    return precision == "fp16"


def probe(device: ComputeDevice, precision: str) -> dict[str, dict[str, Any]]:
    """The `ProbeResult` fields of a GEMM, a convolution and a recurrent step: error against float64, and arithmetic.

    The error gives the arithmetic away; both are None, with the reason, where the operation failed. Sizes are multiples
    of 64, so that a tensor core path is open where there is one. Call after `switch`.
    """
    generator = torch.Generator().manual_seed(20_261_123)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    a, b = random(256, 512), random(512, 256)
    image, kernel = random(4, 64, 16, 16), random(64, 64, 3, 3)
    sequence = random(64, 1, 64)
    layer = nn.LSTM(64, 64, batch_first=True).requires_grad_(False)
    for parameter in layer.parameters():
        parameter.copy_(random(*parameter.shape) / 8)
    operations: dict[str, tuple[Callable[..., torch.Tensor], tuple[torch.Tensor, ...]]] = {
        "matmul": (torch.matmul, (a, b)),
        "conv": (nn.functional.conv2d, (image, kernel)),
        "rnn": (lambda x, *_: _recurrent(layer, x), (sequence,)),
    }
    return {name: _probe_one(device, precision, f, inputs) for name, (f, inputs) in operations.items()}


def _recurrent(layer: nn.LSTM, x: torch.Tensor) -> torch.Tensor:
    placed = layer.to(device=x.device, dtype=x.dtype)
    output: torch.Tensor = placed(x)[0]
    return output


def _probe_one(
    device: ComputeDevice, precision: str, operation: Callable[..., torch.Tensor], inputs: tuple[torch.Tensor, ...]
) -> dict[str, Any]:
    with torch.no_grad():
        reference = operation(*(t.double() for t in inputs))
        try:
            with autocast(device, precision):
                result = operation(*(t.to(device.torch) for t in inputs))
            device.synchronize()
        except RuntimeError as error:
            reason = f"the operation failed: {str(error).splitlines()[0][:200]}"
            empty = dict.fromkeys(("error", "effective", "dtype"))
            return {**empty, "absent": dict.fromkeys(empty, reason)}
    error_size = float((result.cpu().double() - reference).norm() / reference.norm())
    dtype = str(result.dtype).removeprefix("torch.")
    if error_size != error_size or error_size == float("inf"):
        reason = "the result is not finite"
        return {"error": None, "effective": "wrong", "dtype": dtype, "absent": {"error": reason}}
    return {"error": error_size, "effective": classify(error_size, dtype), "dtype": dtype}


def classify(error: float, dtype: str) -> str:
    """Name the arithmetic from the type of its result, and in float32 from its error against float64."""
    if error > 0.05:
        return "wrong"
    if dtype in _TYPES:
        return _TYPES[dtype]
    return "ieee" if error < _IEEE_BELOW else "tf32" if error < _TF32_BELOW else "bf16"


def refused(probes: dict[str, dict[str, Any]], operations: tuple[str, ...]) -> str:
    """Why a library has no kernel at all for these operations in the precision asked for, in its words; else "".

    hipBLASLt has none in tf32 for devices without such units (pytorch #193345): nothing is broken there.
    """
    reasons = (probes[name]["absent"]["effective"] for name in operations if probes[name]["effective"] is None)
    return next((reason for reason in reasons if "NOT_SUPPORTED" in reason), "")


def effective(probes: dict[str, dict[str, Any]], operations: tuple[str, ...]) -> str | Absent:
    """One word for the operations that a workload uses, or `mixed(...)`; Absent where a probe failed."""
    words = {name: probes[name]["effective"] for name in operations}
    if missing := [name for name, word in words.items() if word is None]:
        return Absent(f"the precision probe failed for {', '.join(missing)}")
    if len(set(words.values())) == 1:
        return str(next(iter(words.values())))
    return f"mixed({', '.join(f'{name}={word}' for name, word in words.items())})"
