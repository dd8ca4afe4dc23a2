"""Step time of gpuprof's worker loop over a hand-written PyTorch loop of the same network, in one process.

    python scripts/bench/vs_bare.py --net all --pairs 600
    python scripts/bench/vs_bare.py --net cnn --device cuda        # wall time with a synchronisation a block

Goal: upper 95% bound of the ratio at most 1.01 for each network. On a CPU the process's CPU time is compared, on one
thread, in A B B A squares; both sides are built anew several times, so that where memory came to lie averages out.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from _pairs import abba, ratio
from torch import nn

from gpuprof import workloads
from gpuprof.case_keys import KEYS
from gpuprof.worker.batches import random_batches
from gpuprof.worker.device import ComputeDevice
from gpuprof.worker.network import build_network
from gpuprof.worker.step import Stepper
from gpuprof.worker.timing import Blocks, Meter
from gpuprof.workloads.case import CaseSpec

GOAL = 1.01
# Network, batch size, steps of a block: blocks of some tens of milliseconds on one core (VGG16: one step).
NETS = {"cnn": (32, 2), "rnn": (32, 4), "lstm": (32, 3), "gru": (32, 2), "vgg16": (1, 1)}
GPU_BLOCK_S = 0.02  # on a GPU a block of a few steps is mostly the synchronisation at its end
PAIRS_A_BUILD = 10  # where memory came to lie moves a side by some 0.5%: many builds, few pairs each
Weights = dict[str, torch.Tensor]


class Recurrent(nn.Module):  # type: ignore[misc]
    def __init__(self, layer: nn.RNNBase) -> None:
        super().__init__()
        self.rnn = layer
        self.out = nn.Linear(64, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        _, h = self.rnn(x)
        return self.out((h[0] if isinstance(h, tuple) else h)[0])


def by_hand(net: str) -> nn.Module:
    """The network as anyone would write it, without gpuprof."""
    if net == "cnn":
        return nn.Sequential(
            nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(64, 64, 3), nn.ReLU(), nn.Flatten(), nn.Linear(576, 64), nn.ReLU(), nn.Linear(64, 10),
        )  # fmt: skip
    if net == "vgg16":
        from torchvision.models import vgg16

        base = vgg16(weights=None).features.requires_grad_(False)
        return nn.Sequential(base, nn.Flatten(), nn.Linear(25088, 128), nn.ReLU(), nn.Linear(128, 10))
    layer = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}[net](10, 64, batch_first=True)
    if net != "gru":
        nn.init.zeros_(layer.bias_hh_l0)
        layer.bias_hh_l0.requires_grad_(False)
    return Recurrent(layer)


def clock_of(device: ComputeDevice) -> Callable[[], float]:
    return time.perf_counter if device.is_gpu else time.process_time


def bare_loop(net: str, device: ComputeDevice, batch: int, steps: int, weights: Weights) -> Callable[[], float]:
    model = by_hand(net).to(device.torch).train()
    model.load_state_dict(dict(zip(model.state_dict(), weights.values(), strict=True)))
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1e-3, eps=1e-7)
    shape = {"cnn": (1, 28, 28), "vgg16": (3, 224, 224)}.get(net, (100, 10))
    xs = [torch.randn(batch, *shape, device=device.torch) for _ in range(8)]
    if net in ("cnn", "vgg16"):
        ys = [torch.randint(10, (batch,), device=device.torch) for _ in range(8)]
        criterion: Callable[..., torch.Tensor] = F.cross_entropy
    else:
        ys = [torch.randint(2, (batch, 1), device=device.torch).float() for _ in range(8)]
        criterion = F.binary_cross_entropy_with_logits
    clock, i = clock_of(device), 0

    def block() -> float:
        nonlocal i
        started = clock()
        for _ in range(steps):
            optimizer.zero_grad()
            loss = criterion(model(xs[i % 8]), ys[i % 8])
            loss.backward()
            optimizer.step()
            i += 1
        device.synchronize()
        return clock() - started

    return block


def gpuprof_loop(net: str, device: ComputeDevice, batch: int, steps: int) -> tuple[Callable[[], float], Weights]:
    workload = workloads.get(net)
    params = workload.params_model().model_dump()
    keys = {key.name: key.default for key in KEYS.values()} | dict(workload.lengths)
    case = CaseSpec(workload=net, params=params, **keys | {"batch_size": batch, "threads": 1})
    network, _ = build_network(case, device, seed=0)
    weights = {name: value.clone() for name, value in network.state_dict().items()}
    stepper = Stepper(case, device, network, random_batches(case, device))
    meter, blocks, clock = Meter(stepper.step, device), Blocks(steps), clock_of(device)

    def block() -> float:
        started = clock()
        meter.block(blocks)
        return clock() - started

    return block, weights


def compare(net: str, device: ComputeDevice, pairs: int) -> tuple[float, float, float]:
    batch, steps = NETS[net]
    if device.is_gpu:
        probe, _ = gpuprof_loop(net, device, batch, 5)
        steps = max(5, round(5 * GPU_BLOCK_S / min(probe() for _ in range(5))))
    logs: list[float] = []
    for _ in range(max(1, pairs // PAIRS_A_BUILD)):
        ours, weights = gpuprof_loop(net, device, batch, steps)
        theirs = bare_loop(net, device, batch, steps, weights)
        for block in (theirs, ours, theirs, ours):
            block()
        gc.collect()
        gc.disable()
        logs += abba(theirs, ours, min(pairs, PAIRS_A_BUILD))
        gc.enable()
    return ratio(logs)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", choices=("all", *NETS), default="all")
    parser.add_argument("--pairs", type=int, default=600)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(1)
    device = ComputeDevice(None if options.device == "cpu" else 0)
    missed = False
    for net in NETS if options.net == "all" else (options.net,):
        started = time.perf_counter()
        middle, low, high = compare(net, device, options.pairs if net != "vgg16" else max(20, options.pairs // 10))
        missed |= high > GOAL
        verdict = "met" if high <= GOAL else "MISSED"
        print(f"{net:6} gpuprof / bare {middle:.4f} [{low:.4f}, {high:.4f}]  goal upper bound {GOAL}: {verdict}"
              f"  ({time.perf_counter() - started:.0f} s)", flush=True)  # fmt: skip
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
