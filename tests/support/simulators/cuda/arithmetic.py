"""Right numbers on the simulated CUDA device: every operator is computed by the CPU, in the device's memory.

That memory is the host's. So under the mode `Computed` an operator first runs on the device, which allocates, launches
and captures as ever and leaves garbage, and then once more on CPU tensors over the same memory. What a graph captures
is not computed but recorded, and computed by each of its replays.

Products (matrices, convolutions, recurrent layers) are computed in float32 from operands that have the precision asked
for, as tensor cores do: float16 and bfloat16 as they are, tf32 rounded to 10 bits. On a CPU, float16 convolutions would
take minutes.

Not computed: what torch.compile generates (under a mode it runs eager, in silence), and dropout's very bits.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any


def install(after: Callable[[str, Callable[[Any], None]], None]) -> None:
    """From now on, right numbers for a worker's checks; while it is timed, kernels only take time.

    `after(module, change)` changes a module right after its own code has run.
    """
    after("gpuprof.worker.inspect", _check_computed)
    after("gpuprof.worker.measure", _ask_the_memory)


UNCHECKED = "nothing computes compiled kernels on a simulated device"


def _check_computed(module: Any) -> None:
    plain = module.inspect

    def inspect(request: Any, *rest: Any) -> Any:
        if request.device is None:
            return plain(request, *rest)
        if request.case.variant != "compile":
            with computed():
                return plain(request, *rest)
        found = plain(request, *rest)  # compiled and launched, which under the mode it would not be
        return found | {"correctness": module.correctness.not_checked(UNCHECKED), "state": "failed", "shaken": False}

    module.inspect = inspect


def _ask_the_memory(module: Any) -> None:
    """Whether the last step's values are finite: of the values that lie there, since no kernel says it."""
    plain = module.torch.isfinite
    module.torch.isfinite = lambda tensor: plain(tensor.cpu())


@contextlib.contextmanager
def computed() -> Iterator[Any]:
    """The mode, also for graphs that are captured and replayed in it; gives it, with the operators that failed."""
    import torch

    mode = _mode()
    plain, begin, end, replay = (torch.cuda.CUDAGraph, *(getattr(torch.cuda.CUDAGraph, name) for name in _PATCHED))
    tapes: dict[int, list[Callable[[], None]]] = {}

    def capture_begin(graph: Any, *args: Any, **kwargs: Any) -> None:
        begin(graph, *args, **kwargs)
        mode.tape = tapes[id(graph)] = []

    def capture_end(graph: Any) -> None:
        mode.tape = None
        end(graph)

    def replayed(graph: Any) -> None:
        replay(graph)
        for compute in tapes.get(id(graph), ()):  # none of a graph that was captured before
            compute()

    for name, function in zip(_PATCHED, (capture_begin, capture_end, replayed), strict=True):
        setattr(plain, name, function)
    try:
        with mode:
            yield mode
    finally:
        for name, function in zip(_PATCHED, (begin, end, replay), strict=True):
            setattr(plain, name, function)


_PATCHED = ("capture_begin", "capture_end", "replay")


def _mode() -> Any:
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
    from torch.utils._pytree import tree_leaves, tree_map

    aten = torch.ops.aten
    # Right on the device as they are: no kernel computes anything, or memory is only copied.
    as_they_are = {
        aten.empty.memory_format, aten.empty_strided.default, aten.record_stream.default,
        aten._cudnn_rnn_flatten_weight.default, aten.set_.source_Storage, aten.set_.source_Storage_storage_offset,
        aten._local_scalar_dense.default, aten._pin_memory.default,
    }  # fmt: skip
    by_hand = _operators(torch)
    products = {
        aten.mm.default: "matmul", aten.addmm.default: "matmul", aten.bmm.default: "matmul",
        aten.baddbmm.default: "matmul", aten.convolution.default: "conv", aten.convolution_backward.default: "conv",
        aten._cudnn_rnn.default: "rnn", aten._cudnn_rnn_backward.default: "rnn",
    }  # fmt: skip

    def is_on_gpu(value: Any) -> bool:
        return isinstance(value, torch.Tensor) and value.device.type == "cuda"

    def on_cpu(value: Any) -> Any:
        """A CPU tensor over the same memory."""
        if not is_on_gpu(value):
            return value
        storage = value.untyped_storage()
        if not storage.nbytes() or not storage.data_ptr():
            return torch.empty_strided(value.size(), value.stride(), dtype=value.dtype)
        memory = (ctypes.c_uint8 * storage.nbytes()).from_address(storage.data_ptr())
        shared = torch.frombuffer(memory, dtype=torch.uint8).untyped_storage()
        return torch.empty(0, dtype=value.dtype).set_(shared, value.storage_offset(), value.size(), value.stride())

    class Computed(TorchDispatchMode):
        tape: list[Callable[[], None]] | None = None  # of the capture that is going on

        def __init__(self) -> None:
            super().__init__()
            self.failed: dict[str, str] = {}  # operators that the CPU could not compute, with the error

        def __torch_dispatch__(self, f: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            kwargs = kwargs or {}
            out = f(*args, **kwargs)
            if f in as_they_are or not any(map(is_on_gpu, tree_leaves((args, kwargs, out)))):
                return out
            given, named = tree_map(on_cpu, (args, kwargs))
            if "device" in named:
                named |= {"device": torch.device("cpu"), **({"pin_memory": False} if "pin_memory" in named else {})}
            if named.get("generator") is not None:
                named["generator"] = torch.Generator().manual_seed(named["generator"].initial_seed())
            results = [on_cpu(value) for value in tree_leaves(out)]
            function = by_hand.get(f, f)
            if f in products:
                function = _product(torch, function, products[f])

            def compute() -> None:
                with _disable_current_modes(), torch.no_grad():
                    found = function(*given, **named)
                    for result, value in zip(results, tree_leaves(found), strict=False):
                        both = isinstance(result, torch.Tensor) and isinstance(value, torch.Tensor)
                        if both and result.numel() and result.data_ptr() != value.data_ptr():
                            result.copy_(value)

            if self.tape is not None:
                self.tape.append(compute)
                return out
            try:
                compute()
            except Exception as error:  # noqa: BLE001 - the test says what was not computed
                self.failed.setdefault(str(f), repr(error)[:300])
            return out

    return Computed()


def _product(torch: Any, function: Callable[..., Any], kind: str) -> Callable[..., Any]:
    """The function on float32 operands of the precision that is asked for now."""
    from torch.utils._pytree import tree_map

    switches = torch._C._get_fp32_precision_getter
    tf32 = switches("cuda", kind) == "tf32"

    def operand(value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return value
        if value.dtype in (torch.float16, torch.bfloat16):
            return value.float()
        return rounded(torch, value) if tf32 and value.dtype == torch.float32 else value

    def call(*args: Any, **kwargs: Any) -> Any:
        return function(*tree_map(operand, args), **tree_map(operand, kwargs))

    return call


def rounded(torch: Any, values: Any) -> Any:
    """float32 with the 10 bits of a tf32's fraction: to the nearest, and to even in the middle."""
    bits = values.contiguous().view(torch.int32)
    return ((bits + 0x0FFF + ((bits >> 13) & 1)) & ~0x1FFF).view(torch.float32)


# ---- operators that only CUDA has, from operators that all devices have. Arguments and results as in PyTorch's
# native_functions.yaml; the arithmetic is that of aten/src/ATen/native/cuda/RNN.cu and of torch.nn.LSTM's own page.


def _operators(torch: Any) -> dict[Any, Callable[..., Any]]:
    # Without the caller's modes, autograd works in it. With one thread: those of two pools would wait for each other.
    alone = ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,))
    layers = {0: "rnn_relu", 1: "rnn_tanh", 2: "lstm", 3: "gru"}
    gates = {0: 1, 1: 1, 2: 4, 3: 3}

    def recurrent(x: Any, weights: Any, a_layer: int, h: Any, c: Any, mode: int, n: int, batch_first: bool, both: bool,
                  train: bool) -> Any:  # fmt: skip
        rows = gates[mode] * h.shape[-1]
        # Weights that were flattened once more arrive as columns.
        flat = [w.reshape(rows) if w.numel() == rows else w.reshape(rows, -1) for w in weights]
        state = (h, c) if mode == 2 else h
        out = getattr(torch, layers[mode])(x, state, flat, a_layer == 4, n, 0.0, train, both, batch_first)
        return (*out, torch.empty(0)) if mode != 2 else out

    def cudnn_rnn(x: Any, weights: Any, a_layer: int, _flat: Any, h: Any, c: Any, mode: int, _hidden: int, _proj: int,
                  n: int, batch_first: bool, _dropout: float, train: bool, both: bool, _sizes: Any,
                  _state: Any) -> Any:  # fmt: skip
        return recurrent(x, weights, a_layer, h, c, mode, n, batch_first, both, train)

    def backward(x: Any, weights: Any, a_layer: int, _flat: Any, h: Any, c: Any, _out: Any, g_out: Any, g_h: Any,
                 g_c: Any, mode: int, _hidden: int, _proj: int, n: int, batch_first: bool, _dropout: float,
                 _train: bool, both: bool, *_rest: Any) -> Any:  # fmt: skip
        with torch.enable_grad():
            x, h, *weights = (t.detach().requires_grad_() for t in (x, h, *weights))
            c = None if c is None else c.detach().requires_grad_()
            results = zip(recurrent(x, weights, a_layer, h, c, mode, n, batch_first, both, True), (g_out, g_h, g_c),
                          strict=True)  # fmt: skip
            known = [(value, gradient) for value, gradient in results if gradient is not None and gradient.numel()]
            inputs = [x, h, *([] if c is None else [c]), *weights]
            found = torch.autograd.grad(
                [value for value, _ in known], inputs, [gradient for _, gradient in known], allow_unused=True
            )
        found = [torch.zeros_like(i) if g is None else g for i, g in zip(inputs, found, strict=True)]
        states = 1 if c is None else 2
        return (*found[: 1 + states], *([] if c is not None else [None]), found[1 + states :])

    def cudnn_rnn_backward(*args: Any) -> Any:
        return alone.submit(backward, *args).result()

    def lstm_cell(from_input: Any, from_state: Any, c: Any, b_input: Any = None, b_state: Any = None) -> Any:
        sums = from_input + from_state
        if b_input is not None:
            sums = sums + b_input + b_state
        i, f, g, o = sums.chunk(4, 1)
        i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
        new = f * c + i * g
        return o * new.tanh(), new, torch.cat([i, f, g, o], 1)

    def lstm_cell_backward(g_h: Any, g_c: Any, c: Any, new: Any, kept: Any, has_bias: bool) -> Any:
        i, f, g, o = kept.chunk(4, 1)
        tanh = new.tanh()
        g_h = torch.zeros_like(new) if g_h is None else g_h
        g_new = g_h * o * (1 - tanh * tanh) + (0 if g_c is None else g_c)
        sums = [g_new * g * i * (1 - i), g_new * c * f * (1 - f), g_new * i * (1 - g * g), g_h * tanh * o * (1 - o)]
        g_sums = torch.cat(sums, 1)
        return (g_sums, g_new * f, *([g_sums.sum(0)] if has_bias else []))

    def gru_cell(from_input: Any, from_state: Any, h: Any, b_input: Any = None, b_state: Any = None) -> Any:
        if b_input is not None:
            from_input, from_state = from_input + b_input, from_state + b_state
        (ir, iz, i_new), (hr, hz, h_new) = from_input.chunk(3, 1), from_state.chunk(3, 1)
        r, z = (ir + hr).sigmoid(), (iz + hz).sigmoid()
        new = (i_new + r * h_new).tanh()
        return new + z * (h - new), torch.cat([r, z, new, h, h_new], 1)

    def gru_cell_backward(g_h: Any, kept: Any, has_bias: bool) -> Any:
        r, z, new, h, h_new = kept.chunk(5, 1)
        g_z, g_new = g_h * (h - new) * z * (1 - z), g_h * (1 - z) * (1 - new * new)
        g_r = g_new * h_new * r * (1 - r)
        g_input, g_state = torch.cat([g_r, g_z, g_new], 1), torch.cat([g_r, g_z, g_new * r], 1)
        return (g_input, g_state, g_h * z, *([g_input.sum(0), g_state.sum(0)] if has_bias else []))

    aten = torch.ops.aten
    return {
        aten._cudnn_rnn.default: cudnn_rnn,
        aten._cudnn_rnn_backward.default: cudnn_rnn_backward,
        aten._thnn_fused_lstm_cell.default: lstm_cell,
        aten._thnn_fused_lstm_cell_backward_impl.default: lstm_cell_backward,
        aten._thnn_fused_gru_cell.default: gru_cell,
        aten._thnn_fused_gru_cell_backward.default: gru_cell_backward,
    }
