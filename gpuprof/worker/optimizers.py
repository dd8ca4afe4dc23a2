"""The optimizers of a network's groups, with the options of torch that precision and variant ask for."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from gpuprof.worker.channel import Unsupported
from gpuprof.workloads.network import Group, Network, Optimizer

# Which of two options each optimizer of torch has. Only with `fused` does it take the loss scale without a host
# synchronisation in every step; `capturable` keeps the count of steps on the device, where a graph replays it (SGD
# keeps none).
_SWITCHES = {
    "Adam": ("fused", "capturable"), "AdamW": ("fused", "capturable"), "NAdam": ("capturable",),
    "RMSprop": ("capturable",), "SGD": ("fused",),
}  # fmt: skip
_REWOUND = ("Adam", "AdamW", "RMSprop", "SGD", "Adagrad")


def optimizer(group: Group, *, scaled: bool, captured: bool, learning_rate: float | None) -> torch.optim.Optimizer:
    """The group's optimizer, with its own learning rate where `learning_rate` is None.

    `scaled`: its gradients carry a loss scale (fp16); `captured`: its steps go into a device graph.
    """
    name = group.optimizer.name
    switches = {"fused": True if scaled else None, "capturable": captured}
    if captured and not _begins_at_zero(group.optimizer):
        raise Unsupported(f"variant graph cannot rewind torch.optim.{name} with these options after its capture")
    options = dict(group.optimizer.options) | {key: switches[key] for key in _SWITCHES.get(name, ())}
    if learning_rate is not None:
        options["lr"] = learning_rate
    made: torch.optim.Optimizer = getattr(torch.optim, name)(group.parameters, **options)
    return made


def _begins_at_zero(optimizer: Optimizer) -> bool:
    """Whether a step after all state is set to zero is the first step: so `Stepper` rewinds what capturing did."""
    unlike = {"dampening", "initial_accumulator_value"} & {key for key, value in optimizer.options.items() if value}
    return optimizer.name in _REWOUND and not unlike


def leaves_of(group: Group, network: torch.nn.Module) -> Sequence[torch.nn.Parameter] | None:
    """For `backward(inputs=...)`: the group's parameters, so that its loss leaves no gradients in other groups.

    None where the group has all trainable parameters: backward without `inputs` is cheaper.
    """
    trainable = {id(p) for p in network.parameters() if p.requires_grad}
    return None if trainable == {id(p) for p in group.parameters} else group.parameters


Trained = dict[str, tuple[torch.optim.Optimizer, Sequence[torch.nn.Parameter] | None]]


def optimizers(
    workload: Network, network: torch.nn.Module, *, scaled: bool, captured: bool, learning_rate: float | None
) -> Trained:
    """By group, its optimizer and its `leaves_of`."""
    return {
        name: (
            optimizer(group, scaled=scaled, captured=captured, learning_rate=learning_rate),
            leaves_of(group, network),
        )
        for name, group in workload.groups(network).items()
    }
