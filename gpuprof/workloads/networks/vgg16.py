"""VGG16 transfer learning: the ImageNet convolutions at 224x224x3, frozen; Flatten, Dense 128 relu, Dense 10."""

from __future__ import annotations

import hashlib
import socket
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpuprof.workloads.network import LoadedWeights
from gpuprof.workloads.supervised import Classifier
from gpuprof.workloads.workload import FlopCount, Lengths, Params

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

# Convolutions of VGG16 (configuration D of Simonyan & Zisserman 2014): (side of the map, channels in, channels out).
CONVOLUTIONS = (
    (224, 3, 64), (224, 64, 64),
    (112, 64, 128), (112, 128, 128),
    (56, 128, 256), (56, 256, 256), (56, 256, 256),
    (28, 256, 512), (28, 512, 512), (28, 512, 512),
    (14, 512, 512), (14, 512, 512), (14, 512, 512),
)  # fmt: skip
FLAT = 512 * 7 * 7
UNITS = 128
DOWNLOAD_TIMEOUT_S = 20.0


class VggParams(Params):
    """Where the weights of the frozen base come from."""

    # "random", "imagenet" (torchvision's own weights, from its cache or the network), or the path of a state dict.
    weights: str = "random"


class Vgg16(Classifier):
    """Two dense layers, trained on the output of a frozen base."""

    name = "vgg16"
    title = "VGG16 transfer learning, frozen base"
    operations = ("conv", "matmul")
    params_model = VggParams
    gate_batch_size = 2  # a large image
    gate_learning_rate = 1e-5  # Adam's 1e-3 overshoots at once in so wide an input layer

    def input_shape(self, params: VggParams, lengths: Lengths) -> tuple[int, ...]:
        return (3, 224, 224)

    def flops(self, params: VggParams, lengths: Lengths) -> FlopCount:
        """Backward stops at the frozen base: weight gradients of both layers, input gradient of the last one only."""
        base = sum(2 * 9 * cin * cout * side * side for side, cin, cout in CONVOLUTIONS)
        dense, last = 2 * FLAT * UNITS, 2 * UNITS * self.classes
        return FlopCount(base + dense + last, dense + 2 * last)

    def build(self, params: VggParams) -> torch.nn.Module:
        import torch
        from torch import nn

        # Not on meta, where this is called: torchvision's import computes with real tensors on some versions.
        with torch.device("cpu"):
            from torchvision.models import vgg16

        base = vgg16(weights=None).features
        base.requires_grad_(False)
        return nn.Sequential(base, nn.Flatten(), nn.Linear(FLAT, UNITS), nn.ReLU(), nn.Linear(UNITS, self.classes))

    def load_pretrained(self, network: torch.nn.Module, params: VggParams) -> LoadedWeights:
        """Fill the frozen base; if the weights are unavailable, the random ones stay and the note says why."""
        if params.weights == "random":
            return LoadedWeights("random", "seeded random weights, as requested")
        try:
            state, note, digest = _imagenet() if params.weights == "imagenet" else _from_file(Path(params.weights))
            base = {key.removeprefix("features."): v for key, v in state.items() if key.startswith("features.")}
            network[0].load_state_dict(base, strict=True)
        except Exception as error:  # noqa: BLE001 - whatever a download, a file or a foreign state dict raises
            reason = " ".join(str(error).split())[:200]
            return LoadedWeights("random", f"seeded random weights: {params.weights!r} could not be loaded ({reason})")
        return LoadedWeights("imagenet" if params.weights == "imagenet" else "file", note, digest)


def _imagenet() -> tuple[dict[str, Any], str, str | None]:
    import torch
    from torchvision.models import VGG16_Weights

    weights = VGG16_Weights.IMAGENET1K_V1
    with _download_timeout():
        state = weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(weights.url).name
    return dict(state), f"torchvision {weights}", _sha256(path) if path.is_file() else None


def _from_file(path: Path) -> tuple[dict[str, Any], str, str]:
    import torch

    # weights_only: a file of weights never gets to run code.
    return torch.load(path, map_location="cpu", weights_only=True), f"file {path.name}", _sha256(path)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def _download_timeout() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT_S)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


WORKLOAD = Vgg16()
