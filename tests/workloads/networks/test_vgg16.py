"""The weights of VGG16: from a file, or seeded ones and the reason."""

from __future__ import annotations

import pytest
import torch

from gpuprof.worker.device import ComputeDevice
from gpuprof.worker.network import build_network
from support.cases import case

pytestmark = pytest.mark.slow


def test_vgg16_takes_weights_from_a_file_and_says_so(tmp_path):
    from torchvision.models import vgg16

    path = tmp_path / "vgg.pt"
    source = vgg16(weights=None)
    torch.save({k: v for k, v in source.state_dict().items() if k.startswith("features.")}, path)
    network, weights = build_network(case("vgg16", params={"weights": str(path)}), ComputeDevice(None), 0)
    assert weights.source == "file"
    assert len(weights.sha256) == 64
    assert torch.equal(network[0][0].weight, source.features[0].weight)
    assert not network[0][0].weight.requires_grad


def test_weights_that_cannot_be_had_leave_seeded_ones_and_a_reason(tmp_path):
    import pickle

    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "pwned"), "w"))

    evil = tmp_path / "evil.pt"
    evil.write_bytes(pickle.dumps(Evil()))
    for wanted in (str(tmp_path / "missing.pt"), str(evil)):
        _, weights = build_network(case("vgg16", params={"weights": wanted}), ComputeDevice(None), 0)
        assert weights.source == "random"
        assert "could not be loaded" in weights.note
    assert not (tmp_path / "pwned").exists()
