"""Every gate of the networks on the simulated CUDA device, with right numbers: as an H100 answered them.

Arithmetic that a real card used is what the simulated one has to show: under autocast in bfloat16 PyTorch runs
recurrent layers in float16, on both.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest

from gpuprof.config import suite
from gpuprof.messages import Inspect
from gpuprof.supervisor import plan
from gpuprof.supervisor.machine import session
from support import on_cuda
from support.running import CONFIGS, DATA

H100 = gzip.decompress((DATA / "2026-11-27-nvidia-h100" / "matrix.jsonl.gz").read_bytes())
ANSWERED = {
    row["case_id"]: row["precision"]["effective"] for row in map(json.loads, H100.splitlines()) if row["precision"]
}
SMALL = ("ieee", "tf32", "bf16", "fp16")


def checks(network: str, precisions: tuple[str, ...]) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Each case of both modes, eager and as a graph, with what a worker's check of it found."""
    sweep = ["sweep.variant=[eager,graph]", "sweep.mode=[train,infer]", f"sweep.precision=[{','.join(precisions)}]"]
    with session() as inspector:
        for case in suite.load([CONFIGS / f"{network}.yaml"], sweep)[0].cases:
            yield case, inspector.ask(Inspect(case=plan.resolved(case, 1), device=0), 200.0)


@pytest.fixture
def on_gpu(cuda_libraries, monkeypatch):
    """The workers of this process find a simulated GPU."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for name, value in on_cuda.environment(cuda_libraries).items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("on_gpu")
@pytest.mark.parametrize(
    ("network", "precisions"),
    [("cnn", SMALL), ("rnn", SMALL), ("lstm", SMALL), ("gru", SMALL), ("vgg16", ("ieee",))],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_gate_passes_in_the_arithmetic_of_a_real_card(network, precisions):
    found = list(checks(network, precisions))
    assert len(found) == 4 * len(precisions)
    for case, answer in found:
        assert answer["correctness"]["verdict"] == "pass", (case.case_id, answer["correctness"])
        assert answer["precision"]["effective"] == ANSWERED[f"{case.case_id}-1threads"], case.case_id
        assert answer["flops"]["counted_on"] == "closed form, equal on the meta device"
        # Nothing else to say, but for the arithmetic that a card chose.
        assert all("was requested" in warning for warning in answer["warnings"])


COMPILED = """
import sim_cuda_arithmetic  # not used: under its mode nothing is compiled
from gpuprof.config import suite
from gpuprof.supervisor import plan
from gpuprof.worker.batches import random_batches
from gpuprof.worker.device import ComputeDevice
from gpuprof.worker.network import build_network
from gpuprof.worker.step import Stepper
from torch._dynamo.utils import counters
from pathlib import Path

(case,) = suite.load([Path("configs/{network}.yaml")], {sets})[0].cases
case, device = plan.resolved(case, 1), ComputeDevice(0)
stepper = Stepper(case, device, build_network(case, device, 0)[0], random_batches(case, device))
with stepper.context:
    stepper.step()
    device.synchronize()
    before = Counts.now().launches
    stepper.step()
    device.synchronize()
said["launches"] = Counts.now().launches - before
said["graphs"] = counters["stats"]["unique_graphs"]
"""


@pytest.mark.parametrize(
    ("network", "mode", "precision"),
    [("cnn", "train", "bf16"), ("cnn", "train", "fp16"), ("cnn", "infer", "bf16"), ("cnn", "infer", "fp16"),
     ("lstm", "train", "ieee")],
)  # fmt: skip
def test_what_torch_compile_makes_is_launched(cuda_libraries, tmp_path, monkeypatch, network, mode, precision):
    """Its kernels are compiled for the device and launched; what they would compute is not known here."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    sets = ["variant=compile", f"mode={mode}", f"precision={precision}", "batch_size=4"]
    said = on_cuda.run(cuda_libraries, COMPILED.replace("{sets}", repr(sets)).replace("{network}", network))
    assert said["graphs"] >= 1
    assert said["launches"] > 0
