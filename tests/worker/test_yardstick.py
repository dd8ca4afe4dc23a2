"""The yardstick of the machine is the same measurement in every process, and costs no repeat."""

from __future__ import annotations

import pytest
import torch

from gpuprof.worker import precision, yardstick
from gpuprof.worker.device import ComputeDevice


def test_product_and_copy_are_timed():
    found = yardstick.yardstick(ComputeDevice(None))
    # 0.27 GFLOP and 64 MiB of traffic: no CPU is that fast or slow.
    assert 1e-6 < found.product_s < 5
    assert 1e-6 < found.copy_s < 5


def test_the_cases_own_switches_do_not_matter():
    precision.switch("tf32")
    precision.fused_recurrent(enabled=False)
    yardstick.yardstick(ComputeDevice(None))
    assert not torch.backends.cuda.matmul.allow_tf32
    assert torch.backends.cudnn.enabled
    assert torch.backends.mkldnn.enabled


def test_a_full_device_costs_the_yardstick_alone(monkeypatch):
    def full(*_args, **_more):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 256 MiB\nmore of it")

    monkeypatch.setattr(torch, "ones", full)
    found = yardstick.yardstick(ComputeDevice(None))
    assert found.product_s > 0
    assert found.copy_s is None
    assert found.absent == {"copy_s": "could not be timed: CUDA out of memory. Tried to allocate 256 MiB"}


@pytest.fixture(autouse=True)
def switches():
    yield
    precision.switch("ieee")
    precision.fused_recurrent(enabled=True)
