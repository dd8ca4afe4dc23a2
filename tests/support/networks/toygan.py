"""A tiny GAN over vectors of eight: two losses, two optimizers, one normalisation."""

from __future__ import annotations

from gpuprof.workloads.network import Group, Network, Optimizer
from gpuprof.workloads.workload import FlopCount

NOISE, HIDDEN, SIZE = 4, 16, 8


class ToyGan(Network):
    name = "toygan"
    title = "GAN for tests"
    operations = ("matmul",)
    losses_per_step = 2
    modes_differ = True

    def flops(self, params, lengths):
        """The discriminator runs three times; the generator's loss passes through it without training it."""
        generator, discriminator = 2 * HIDDEN * (NOISE + SIZE), 2 * HIDDEN * (SIZE + 1)
        trained = 2 * (discriminator + 2 * HIDDEN)  # weights of both layers, input of the second
        passed = discriminator + generator + 2 * HIDDEN * SIZE
        return FlopCount(generator + 3 * discriminator, trained + passed)

    def build(self, params):
        from torch import nn

        network = nn.Module()
        network.generator = nn.Sequential(
            nn.Linear(NOISE, HIDDEN), nn.BatchNorm1d(HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, SIZE)
        )
        network.discriminator = nn.Sequential(nn.Linear(SIZE, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1))
        return network

    def batch(self, params, lengths, batch_size, draw):
        return {"real": draw.normal("real", (batch_size, SIZE)), "noise": draw.normal("noise", (batch_size, NOISE))}

    def groups(self, network):
        momentum = Optimizer("SGD", {"lr": 0.05, "momentum": 0.9})
        return {
            "generator": Group(
                list(network.generator.parameters()), Optimizer("Adam", {"lr": 1e-3, "betas": (0.5, 0.9)})
            ),
            "discriminator": Group(list(network.discriminator.parameters()), momentum),
        }

    def losses(self, network, batch):
        fake = network.generator(batch["noise"])
        real, false = network.discriminator(batch["real"]), network.discriminator(fake.detach())
        yield "discriminator", _judged(real, True) + _judged(false, False)
        yield "generator", _judged(network.discriminator(fake), True)

    def predict(self, network, batch):
        return network.generator(batch["noise"])

    def called(self, network):
        return network.generator, network.discriminator


def _judged(logits, real):
    import torch.nn.functional as F

    return F.softplus(-logits.float() if real and logits.dtype.itemsize < 4 else -logits if real else logits).mean()


WORKLOAD = ToyGan()
