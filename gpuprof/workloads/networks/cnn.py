"""The small CNN on 28x28x1: three 3x3 convolutions, two poolings, Dense 64, Dense 10."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuprof.workloads.supervised import Classifier
from gpuprof.workloads.workload import FlopCount, Lengths, Params

if TYPE_CHECKING:
    import torch


def _conv3x3(channels_in: int, channels_out: int, side_out: int) -> int:
    return 2 * 9 * channels_in * channels_out * side_out * side_out


class Cnn(Classifier):
    """Ten classes of 28x28 images, without parameters of its own."""

    name = "cnn"
    title = "CNN: 3 convolutions, Dense 64, Dense 10"
    operations = ("conv", "matmul")

    def input_shape(self, params: Params, lengths: Lengths) -> tuple[int, ...]:
        """Channels first: (1, 28, 28)."""
        return (1, 28, 28)

    def flops(self, params: Params, lengths: Lengths) -> FlopCount:
        """Backward is twice forward, less the gradient of the image, which autograd does not compute."""
        first = _conv3x3(1, 32, 26)
        forward = first + _conv3x3(32, 64, 11) + _conv3x3(64, 64, 3) + 2 * 576 * 64 + 2 * 64 * self.classes
        return FlopCount(forward, 2 * forward - first)

    def build(self, params: Params) -> torch.nn.Module:
        from torch import nn

        return nn.Sequential(
            nn.Conv2d(1, 32, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(64, 64, 3),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(576, 64),
            nn.ReLU(),
            nn.Linear(64, self.classes),
        )


WORKLOAD = Cnn()
