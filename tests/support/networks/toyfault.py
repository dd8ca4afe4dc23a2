"""A linear layer whose step does what no step may do on a GPU, as its `fault` says."""

from __future__ import annotations

import os
import time

from gpuprof.workloads.network import Network
from gpuprof.workloads.workload import FlopCount, Params

SIZE = 8


class FaultParams(Params):
    fault: str = "none"  # none, item, stream, stale or device; above a batch of 16, size or backward: wrong
    # results, wrap: of another row, raise: none; coupled: rows that see each other; crash, hang: of the process


class ToyFault(Network):
    name = "toyfault"
    title = "faults for tests"
    operations = ("matmul",)
    params_model = FaultParams

    def flops(self, params, lengths):
        return FlopCount(2 * SIZE * SIZE, 2 * SIZE * SIZE)

    def build(self, params):
        import torch
        from torch import nn

        class Layer(nn.Linear):
            stream = kept = None

            def forward(self, x):
                if x.device.type == "cuda":
                    self.go_wrong(x)
                if params.fault == "crash" and x.device.type == "cpu":
                    os.abort()
                if params.fault == "hang" and x.device.type == "cpu":
                    time.sleep(60)
                out = super().forward(x)
                if len(x) > 16 and params.fault == "backward" and out.requires_grad:
                    out.register_hook(lambda gradient: gradient * torch.arange(len(gradient))[:, None])
                if len(x) > 16 and params.fault == "raise":
                    raise RuntimeError("can't allocate memory")
                if len(x) > 16 and params.fault == "wrap":
                    out = torch.cat([out[:16], out[: len(out) - 16]])
                if params.fault == "coupled":
                    out = out - out.sum() / 8
                if len(x) > 16 and params.fault == "size":
                    out = torch.cat([out[:-1], out[-1:] + 1])  # one row of many
                return out

            def go_wrong(self, x):
                if params.fault == "item":
                    x.sum().item()
                elif params.fault == "device":
                    torch.ones(SIZE, device="cuda:0")
                elif params.fault == "stale" and self.kept is None:
                    with torch.cuda.stream(torch.cuda.default_stream()), torch.enable_grad():
                        self.kept = self.weight * 2  # its history keeps the gradient's node, on this stream
                elif params.fault == "stream":
                    self.stream = self.stream or torch.cuda.Stream()
                    self.stream.wait_stream(torch.cuda.current_stream())
                    with torch.cuda.stream(self.stream):
                        self.kept = x.detach() * 2

        return Layer(SIZE, SIZE)

    def batch(self, params, lengths, batch_size, draw):
        return draw.normal("x", (batch_size, SIZE))

    def losses(self, network, batch):
        yield "all", network(batch).square().mean()

    def predict(self, network, batch):
        return network(batch)


WORKLOAD = ToyFault()
