"""Which arithmetic ran is found from its error; what was asked for is set and read back."""

from __future__ import annotations

import pytest
import torch

from gpuprof.absent import Absent
from gpuprof.worker import precision
from gpuprof.worker.device import ComputeDevice

CPU = ComputeDevice(None)
BF16_LSTM = torch.ops.mkldnn._is_mkldnn_bf16_supported()  # oneDNN has one for CPUs with AVX-512 alone


pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("switches_restored")]


def rounded(x: torch.Tensor, mantissa_bits: int) -> torch.Tensor:
    """float32 values rounded to fewer bits of mantissa: what a tensor core does to its operands."""
    drop = 23 - mantissa_bits
    bits = x.view(torch.int32) + (1 << (drop - 1))
    return (bits & ~((1 << drop) - 1)).view(torch.float32)


@pytest.mark.parametrize(("bits", "name"), [(23, "ieee"), (10, "tf32"), (7, "bf16")])
def test_emulated_arithmetic_is_named_by_its_error(bits, name):
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(256, 256, generator=generator) for _ in range(2))
    exact = a.double() @ b.double()
    found = a @ b if bits == 23 else rounded(a, bits) @ rounded(b, bits)
    error = float((found.double() - exact).norm() / exact.norm())
    assert precision.classify(error, "float32") == name


@pytest.mark.parametrize(
    ("error", "dtype", "name"),
    [
        (3e-4, "float16", "fp16"), (2e-3, "float16", "fp16"), (4e-4, "bfloat16", "bf16"), (3e-3, "bfloat16", "bf16"),
        (2e-5, "float32", "ieee"),  # Winograd's algorithm
        (7.7e-4, "float32", "tf32"), (1.3e-3, "float32", "tf32"),  # operands cut off: one, both
        (2.3e-3, "float32", "bf16"), (0.5, "float32", "wrong"), (0.5, "float16", "wrong"),
    ],
)  # fmt: skip
def test_arithmetic_is_named_by_the_results_type_and_in_float32_by_its_error(error, dtype, name):
    assert precision.classify(error, dtype) == name


@pytest.mark.parametrize("asked", ["ieee", "tf32", "bf16"])
def test_probe_on_this_cpu(asked):
    precision.switch(asked)
    probes = precision.probe(CPU, asked)
    assert set(probes) == {"matmul", "conv", "rnn"}
    # A CPU without tf32 units runs tf32 as ieee, and the probe must say so whatever the switches read.
    allowed = {"tf32": {"tf32", "ieee"}}.get(asked, {asked})
    if asked == "bf16" and not BF16_LSTM:
        assert probes["rnn"]["effective"] is None
        assert "the operation failed: could not create a primitive" in probes.pop("rnn")["absent"]["effective"]
    assert {p["effective"] for p in probes.values()} <= allowed


@pytest.mark.parametrize("asked", ["ieee", "tf32", "ieee"])
def test_switches_are_set_and_read_back(asked):
    precision.switch(asked)
    flags = precision.flags()
    fp32 = {k: v for k, v in flags.items() if k.startswith("fp32_precision.")}
    if fp32:
        assert set(fp32.values()) == {asked}
    else:
        assert flags["matmul.allow_tf32"] is flags["cudnn.allow_tf32"] is (asked == "tf32")


def test_effective_is_one_word_or_mixed_or_absent_with_a_reason():
    probes = {"matmul": {"effective": "ieee"}, "conv": {"effective": "tf32"}, "rnn": {"effective": None}}
    assert precision.effective(probes, ("matmul",)) == "ieee"
    assert precision.effective(probes, ("conv", "matmul")) == "mixed(conv=tf32, matmul=ieee)"
    assert precision.effective(probes, ("rnn", "matmul")) == Absent("the precision probe failed for rnn")


def test_an_operation_that_fails_leaves_its_reason(monkeypatch):
    def broken(*_args, **_kwargs):
        raise RuntimeError("miopenStatusUnknownError\nmore")

    monkeypatch.setattr(torch.nn.LSTM, "forward", broken)
    with pytest.raises(RuntimeError):  # the float64 reference itself runs the same layer
        precision.probe(CPU, "ieee")
    monkeypatch.undo()
    monkeypatch.setattr(precision, "_recurrent", lambda layer, x: broken() if x.dtype != torch.float64 else x)
    found = precision.probe(CPU, "ieee")["rnn"]
    assert found["effective"] is None
    assert found["absent"]["error"] == "the operation failed: miopenStatusUnknownError"
