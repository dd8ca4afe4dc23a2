"""The same network as the article's Keras code: with Keras' weights, the outputs agree to 1e-5."""

from __future__ import annotations

import os

os.environ["KERAS_BACKEND"] = "torch"
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import keras
import numpy as np
import pytest
import torch
from keras import layers

from gpuprof import workloads

pytestmark = pytest.mark.slow
TOLERANCE = 1e-5
ARTICLE = ("cnn", "gru", "lstm", "rnn", "vgg16")


def article(name: str) -> keras.Model:
    """The article's models; logits for the ten classes, whose softmax lies in the loss."""
    if name == "cnn":
        return keras.Sequential(
            [
                keras.Input((28, 28, 1)),
                layers.Conv2D(32, 3, activation="relu"), layers.MaxPooling2D(2),
                layers.Conv2D(64, 3, activation="relu"), layers.MaxPooling2D(2),
                layers.Conv2D(64, 3, activation="relu"),
                layers.Flatten(), layers.Dense(64, activation="relu"), layers.Dense(10),
            ]
        )  # fmt: skip
    if name == "vgg16":
        base = keras.applications.VGG16(weights=None, include_top=False, input_shape=(224, 224, 3))
        base.trainable = False
        return keras.Sequential([base, layers.Flatten(), layers.Dense(128, activation="relu"), layers.Dense(10)])
    layer = {"rnn": layers.SimpleRNN, "lstm": layers.LSTM, "gru": layers.GRU}[name]
    return keras.Sequential([keras.Input((None, 10)), layer(64), layers.Dense(1, activation="sigmoid")])


def tensor(array) -> torch.Tensor:
    return torch.from_numpy(np.array(array))


def load_dense(target, dense, image: tuple[int, int, int] | None = None) -> None:
    """Keras flattens channels last: the rows of the first Dense after an image are put into torch's order."""
    kernel, bias = (np.array(w) for w in dense.get_weights())
    if image is not None:
        channels, height, width = image
        kernel = kernel.reshape(height, width, channels, -1).transpose(2, 0, 1, 3).reshape(kernel.shape)
    target.weight.copy_(tensor(kernel.T))
    target.bias.copy_(tensor(bias))


def load_conv(target, conv) -> None:
    kernel, bias = conv.get_weights()
    target.weight.copy_(tensor(np.transpose(kernel, (3, 2, 0, 1))))
    target.bias.copy_(tensor(bias))


def load(name: str, network: torch.nn.Module, model: keras.Model) -> None:
    """Put Keras' weights into the torch network."""
    if name in ("cnn", "vgg16"):
        sequence = list(network[0]) if name == "vgg16" else list(network)
        source = model.layers[0].layers if name == "vgg16" else model.layers
        convolutions = [layer for layer in sequence if isinstance(layer, torch.nn.Conv2d)]
        theirs = [layer for layer in source if isinstance(layer, layers.Conv2D)]
        for target, conv in zip(convolutions, theirs, strict=True):
            load_conv(target, conv)
        first, last = (layer for layer in network if isinstance(layer, torch.nn.Linear))
        load_dense(first, model.layers[-2], (512, 7, 7) if name == "vgg16" else (64, 3, 3))
        load_dense(last, model.layers[-1])
        return
    kernel, recurrent, bias = (np.array(w) for w in model.layers[0].get_weights())
    rnn = network.recurrent
    if name == "gru":  # Keras orders update, reset, candidate; torch reset, update, candidate
        swap = np.concatenate([np.arange(64, 128), np.arange(64), np.arange(128, 192)])
        kernel, recurrent, bias = kernel[:, swap], recurrent[:, swap], bias[:, swap]
        rnn.bias_hh_l0.copy_(tensor(bias[1]))
        bias = bias[0]
    else:
        rnn.bias_hh_l0.zero_()
    rnn.weight_ih_l0.copy_(tensor(kernel.T))
    rnn.weight_hh_l0.copy_(tensor(recurrent.T))
    rnn.bias_ih_l0.copy_(tensor(bias))
    load_dense(network.head, model.layers[-1])


def _is_bias(weight: np.ndarray) -> bool:
    return weight.ndim == 1 or (weight.ndim == 2 and weight.shape[0] == 2)  # the GRU holds its two biases in one


def pair(name: str) -> tuple[torch.nn.Module, keras.Model]:
    keras.utils.set_random_seed(7)
    model = article(name)
    rng = np.random.default_rng(7)
    # Keras' biases start at zero, which would hide a bias in the wrong place.
    model.set_weights([w + rng.normal(0, 0.05, w.shape).astype("float32") * _is_bias(w) for w in model.get_weights()])
    workload = workloads.get(name)
    with torch.device("meta"):
        network = workload.build(workload.params_model())
    network = network.to_empty(device="cpu")
    with torch.no_grad():
        load(name, network, model)
    return network.eval(), model


@pytest.mark.parametrize("name", ARTICLE)
def test_outputs_agree_with_keras(name):
    network, model = pair(name)
    rng = np.random.default_rng(1)
    shape = {"cnn": (5, 28, 28, 1), "vgg16": (1, 224, 224, 3)}.get(name, (5, 40, 10))
    x = rng.normal(0, 1, shape).astype("float32")
    expected = keras.ops.convert_to_numpy(model(x, training=False))
    given = tensor(np.transpose(x, (0, 3, 1, 2)) if len(shape) == 4 else x)
    with torch.inference_mode():
        found = workloads.get(name).predict(network, (given, None)).numpy()
    assert found.shape == expected.shape
    assert np.abs(expected).max() > 1e-3
    assert np.abs(found - expected).max() <= TOLERANCE * max(1.0, np.abs(expected).max())


@pytest.mark.parametrize("name", ARTICLE)
def test_parameter_counts_equal_keras(name):
    network, model = pair(name)
    trainable = sum(int(np.prod(w.shape)) for w in model.trainable_weights)
    assert sum(p.numel() for p in network.parameters() if p.requires_grad) == trainable
    held = 0 if name not in ("rnn", "lstm") else network.recurrent.bias_hh_l0.numel()
    assert sum(p.numel() for p in network.parameters()) - held == model.count_params()


@pytest.mark.parametrize("name", ["cnn", "lstm", "gru", "rnn"])
def test_five_training_steps_agree_with_keras(name):
    """Loss, gradients and Adam together: the same losses after every step."""
    network, model = pair(name)
    workload, rng = workloads.get(name), np.random.default_rng(2)
    shape = (6, 28, 28, 1) if name == "cnn" else (6, 20, 10)
    x = rng.normal(0, 1, shape).astype("float32")
    y = rng.integers(0, 10, 6) if name == "cnn" else rng.integers(0, 2, (6, 1)).astype("float32")
    loss = (
        keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        if name == "cnn"
        else keras.losses.BinaryCrossentropy()
    )
    model.compile(optimizer=keras.optimizers.Adam(), loss=loss)
    expected = [model.train_on_batch(x, y) for _ in range(5)]
    network.train()
    optimizer = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], lr=1e-3, eps=1e-7)
    given = tensor(np.transpose(x, (0, 3, 1, 2)) if name == "cnn" else x)
    found = []
    for _ in range(5):
        optimizer.zero_grad()
        ((_, value),) = workload.losses(network, (given, tensor(y)))
        value.backward()
        optimizer.step()
        found.append(value.item())
    # Keras adds epsilon to the uncorrected second moment, torch to the corrected one; where gradients are as small as
    # epsilon (most of the CNN's) the first updates differ by that.
    assert found == pytest.approx([float(v) for v in expected], rel=1e-2 if name == "cnn" else 2e-4)
