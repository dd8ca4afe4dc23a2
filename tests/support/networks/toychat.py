"""Tiny attention over tokens: two lengths, in one of which it is quadratic; a dict of integers as its batch."""

from __future__ import annotations

from types import MappingProxyType

from gpuprof.workloads.network import Network
from gpuprof.workloads.workload import FlopCount, Params

WIDTH = 16


class ChatParams(Params):
    vocabulary: int = 32


class ToyChat(Network):
    name = "toychat"
    title = "attention for tests"
    operations = ("matmul",)
    params_model = ChatParams
    lengths = MappingProxyType({"seq_len": 12, "new_tokens": 3})
    item = "token"
    linear_lengths = ("new_tokens",)

    def items_per_sample(self, params, lengths):
        return sum(lengths.values())

    def flops(self, params, lengths):
        """Two products over all pairs of tokens, and a head on the new ones; each has two gradients."""
        pairs = 2 * lengths["seq_len"] ** 2 * WIDTH
        head = 2 * lengths["new_tokens"] * WIDTH * params.vocabulary
        return FlopCount(2 * pairs + head, 2 * (2 * pairs + head))

    def build(self, params):
        from torch import nn

        class Attention(nn.Module):
            def __init__(self):
                super().__init__()
                self.embedding = nn.Embedding(params.vocabulary, WIDTH)
                self.head = nn.Linear(WIDTH, params.vocabulary)

            def forward(self, tokens, new):
                x = self.embedding(tokens)
                mixed = (x @ x.transpose(1, 2)).softmax(-1) @ x
                return self.head(self.embedding(new) + mixed.mean(1, keepdim=True))

        return Attention()

    def batch(self, params, lengths, batch_size, draw):
        return {name: draw.integers(name, params.vocabulary, (batch_size, length)) for name, length in lengths.items()}

    def losses(self, network, batch):
        import torch.nn.functional as F

        logits = self.predict(network, batch)
        yield "all", F.cross_entropy(logits.flatten(0, 1), batch["new_tokens"].flatten())

    def predict(self, network, batch):
        return network(batch["seq_len"], batch["new_tokens"])


WORKLOAD = ToyChat()
