"""Cases that are small enough for a test."""

from __future__ import annotations

from gpuprof import workloads
from gpuprof.case_keys import KEYS
from gpuprof.workloads.case import CaseSpec

SMALL = [name for name in workloads.names() if name != "vgg16"]


def case(name: str, *, mode: str = "train", seq_len: int | None = None, batch_size: int = 2, **more) -> CaseSpec:
    workload = workloads.get(name)
    params = workload.params_model(**more.pop("params", {})).model_dump()
    lengths = {name: length for name, length in workload.lengths.items() if name in KEYS}
    values = {key.name: key.default for key in KEYS.values()} | lengths | {"threads": 1} | more
    values |= {"mode": mode, "batch_size": batch_size} | ({"seq_len": seq_len} if seq_len else {})
    return CaseSpec(workload=name, params=params, **values)


# trainable, all; forward and backward FLOPs a sample: coefficients of 1, T, T^2 ...
EXACT = {
    "cnn": (93_322, 93_322, (5_588_480,), (10_787_584,)),
    "rnn": (4_865, 4_865, (128, 9_472), (-7_936, 17_664)),
    "lstm": (19_265, 19_265, (128, 37_888), (-32_512, 70_656)),
    "gru": (14_657, 14_657, (128, 28_416), (-24_320, 52_992)),
    "vgg16": (3_212_682, 17_927_370, (30_699_686_400,), (6_427_648,)),
}
# Bytes in and out of every eager operation, forward: a batch + B a sample (T = 100 for the recurrent networks), less
# the output activation, which the reference counts leave out.
BYTES = {
    "cnn": (373_288, 595_560, 0),
    "rnn": (1_945_860, 312_228, 8),
    "lstm": (7_782_660, 1_157_796, 8),
    "gru": (5_837_060, 977_828, 8),
    "vgg16": (71_709_480, 241_850_408, 0),
}


def exact_flops(name: str, length: int) -> tuple[int, int]:
    """(forward, backward) FLOPs of one sample."""
    forward, backward = (sum(c * length**power for power, c in enumerate(powers)) for powers in EXACT[name][2:])
    return forward, backward
