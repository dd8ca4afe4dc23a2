"""The simulated CUDA device: what it keeps of CUDA's rules, and right numbers where it is asked for them."""

from __future__ import annotations

import pytest

from support import on_cuda
from support.simulators import cuda

CAPTURES = """
side, other = torch.cuda.Stream(), torch.cuda.Stream()
x = torch.ones(8, device="cuda")
parameter = torch.ones(8, device="cuda", requires_grad=True)
with torch.cuda.stream(side):
    optimizer = torch.optim.Adam([parameter])
    parameter.square().sum().backward()
    optimizer.step()
    (x @ x).item()
torch.cuda.synchronize()

def forked():
    other.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(other):
        return x * 2

def joined():
    forked()
    torch.cuda.current_stream().wait_stream(other)

def backward():
    (parameter * 3).sum().backward()

for name, step in {
    "product": lambda: x @ x, "a stream that joins again": joined, "backward": backward,
    "item": lambda: x.sum().item(), "nonzero": lambda: x.nonzero(), "copy to the host": lambda: x.cpu(),
    "synchronize": torch.cuda.synchronize, "unjoined": forked, "Adam that is not capturable": optimizer.step,
}.items():
    try:
        with torch.cuda.graph(torch.cuda.CUDAGraph(), stream=side):
            step()
        said[name] = "captured"
    except Exception as error:
        said[name] = str(error.__context__ or error).splitlines()[0]
kept = parameter * 2  # its history holds the node that adds up gradients, on the default stream
try:
    with torch.cuda.graph(torch.cuda.CUDAGraph(), stream=side):
        backward()
except Exception as error:
    said["stale gradient"] = str(error)
"""
RIGHT = ("product", "a stream that joins again", "backward")
FORBIDDEN = ("item", "nonzero", "synchronize")


def test_a_capture_keeps_the_rules(cuda_libraries):
    said = on_cuda.run(cuda_libraries, CAPTURES)
    assert [said[name] for name in RIGHT] == ["captured"] * len(RIGHT)
    for name in FORBIDDEN:
        assert "not permitted when stream is capturing" in said[name], name
    assert "during CUDA graph capture" in said["copy to the host"]
    assert "Unjoined" in said["unjoined"]
    assert "capturable" in said["Adam that is not capturable"]
    assert "stale" in said["stale gradient"] or "capture" in said["stale gradient"]


def test_each_device_counts_its_own_memory_and_names_itself_simulated(cuda_libraries):
    code = """
    said["names"] = [torch.cuda.get_device_name(i) for i in range(2)]
    x = torch.ones(1000, device="cuda:1")
    torch.cuda.synchronize(1)
    said["allocated"] = [torch.cuda.memory_allocated(i) for i in range(2)]
    said["devices"] = [x.device.index, (x + 1).device.index]
    """
    said = on_cuda.run(cuda_libraries, code, cuda.H100, cuda.SECOND)
    assert all(name.startswith("Simulated ") for name in said["names"])
    assert said["allocated"][0] == 0
    assert said["allocated"][1] >= 4000
    assert said["devices"] == [1, 1]
    assert (said["counts"]["allocations"][0], said["counts"]["allocations"][1] > 0) == (0, True)


def test_a_device_has_no_more_memory_than_it_says(cuda_libraries):
    code = """
    try:
        torch.empty(2**31, device="cuda")
    except torch.OutOfMemoryError as error:
        said["error"] = str(error)
    said["then"] = torch.ones(3, device="cuda").numel()
    """
    small = cuda.Device("Simulated T4", cuda.H100.uuid, 0x1B, 2**30, 40, (7, 5))
    said = on_cuda.run(cuda_libraries, code, small)
    assert "1024.00 MiB" in said["error"] or "1.00 GiB" in said["error"]
    assert said["then"] == 3


def test_kernels_take_time_and_events_measure_it(cuda_libraries):
    code = """
    x = torch.ones(8, device="cuda")
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    first.record()
    for _ in range(100):
        x.add_(1)
    last.record()
    torch.cuda.synchronize()
    said["ms"] = first.elapsed_time(last)
    """
    assert 100 <= on_cuda.run(cuda_libraries, code, kernel_ns=1_000_000)["ms"] < 150
    assert on_cuda.run(cuda_libraries, code, kernel_ns=0)["ms"] < 100


@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
def test_recurrent_layers_are_computed_as_on_a_cpu(cuda_libraries, kind):
    code = f"""
    import sim_cuda_arithmetic
    torch.backends.cudnn.rnn.fp32_precision = "ieee"
    torch.manual_seed(0)
    for fused in (True, False):
        plain = torch.nn.{kind}(5, 7, batch_first=True)
        x = torch.randn(3, 6, 5)
        expected = plain(x)[0]
        expected.square().sum().backward()
        other = torch.nn.{kind}(5, 7, batch_first=True)
        other.load_state_dict(plain.state_dict())
        other = other.cuda()
        torch.backends.cudnn.enabled = fused
        with sim_cuda_arithmetic.computed() as mode:
            out = other(x.cuda())[0]
            out.square().sum().backward()
            off = [float((out.cpu() - expected).abs().max())]
            off += [float((p.grad.cpu() - q.grad).abs().max()) for p, q in zip(other.parameters(), plain.parameters())]
        said[str(fused)] = [max(off), mode.failed]
    """
    said = on_cuda.run(cuda_libraries, code)
    for fused in ("True", "False"):
        off, failed = said[fused]
        assert not failed
        assert off < 1e-5


def test_a_replay_computes_what_was_captured_and_the_capture_nothing(cuda_libraries):
    code = """
    import sim_cuda_arithmetic
    with sim_cuda_arithmetic.computed() as mode:
        x = torch.zeros(4, device="cuda")
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            x.add_(1)
        said["captured"] = x.tolist()
        graph.replay()
        graph.replay()
        said["replayed"] = x.tolist()
        half = torch.ones(3, device="cuda", dtype=torch.float16)
        said["converted"] = half.to("cpu", torch.float64).tolist()
        said["failed"] = mode.failed
    """
    said = on_cuda.run(cuda_libraries, code)
    assert said["captured"] == [0] * 4
    assert said["replayed"] == [2] * 4
    assert said["converted"] == [1] * 3
    assert not said["failed"]


def test_tf32_is_rounded_to_ten_bits_to_the_nearest_and_to_even(cuda_libraries):
    code = """
    import sim_cuda_arithmetic
    ulp = 2.0**-10
    values = torch.tensor([1 + ulp, 1 + 0.49 * ulp, 1 + 0.51 * ulp, 1 + 0.5 * ulp, 1 + 1.5 * ulp, -1 - 0.51 * ulp, 0.0])
    said["rounded"] = ((sim_cuda_arithmetic.rounded(torch, values).double().abs() - 1) / ulp).tolist()
    """
    assert on_cuda.run(cuda_libraries, code)["rounded"] == [1, 0, 1, 0, 2, 1, -1024]


def test_a_driver_that_does_not_start_says_why(cuda_libraries):
    code = """
    import warnings
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        said["available"] = torch.cuda.is_available()
    said["warnings"] = [str(w.message) for w in caught]
    """
    said = on_cuda.run(cuda_libraries, code, init_error=cuda.FABRIC_MANAGER_NOT_RUNNING)
    assert not said["available"]
    assert "802" in " ".join(said["warnings"])
