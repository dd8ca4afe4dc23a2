"""What the worker asks of a GPU, on the simulated CUDA device."""

from __future__ import annotations

import pytest

from gpuprof.worker.precision import _SWITCHES
from support import on_cuda
from support.running import gpuprof
from support.simulators import cuda


def test_a_graph_is_made_on_one_stream(cuda_libraries):
    code = """
    from gpuprof.worker.device import ComputeDevice
    x, streams = torch.ones(8, device="cuda"), []

    def step():
        streams.append(torch.cuda.current_stream().cuda_stream)
        return x.add_(1)

    replay, seconds = ComputeDevice(0).capture(step, 2)
    replay()
    said["streams"] = len(set(streams))
    said["steps"] = len(streams)
    """
    said = on_cuda.run(cuda_libraries, code)
    assert (said["streams"], said["steps"]) == (1, 5)
    assert said["counts"]["captured"] == 2
    assert said["counts"]["graph_launches"] == 1


def test_of_the_peak_it_is_said_what_products_worked_in(cuda_libraries):
    code = """
    from gpuprof.worker.device import ComputeDevice
    device, network = ComputeDevice(0), torch.ones(2**20, device="cuda")
    workspaces = [torch.empty(2**23, dtype=torch.uint8, device="cuda")]
    torch._C._cuda_clearCublasWorkspaces = workspaces.clear  # as torch before 2.15, which keeps them
    said["memory"] = device.peak_memory()
    """
    memory = on_cuda.run(cuda_libraries, code)["memory"]
    assert (memory["peak_bytes"], memory["workspace_bytes"]) == (2**22 + 2**23, 2**23)
    gone = on_cuda.run(cuda_libraries, code.replace("= workspaces.clear", "= None"))["memory"]
    assert gone["workspace_bytes"] is None
    assert "cannot be asked" in gone["absent"]["workspace_bytes"]


@pytest.mark.parametrize("version", ["2.14.0", "2.15.0"])
def test_a_workspace_that_each_product_gets_anew_is_unknown_and_not_zero(cuda_libraries, version):
    """As torch 2.15 does it: nothing is left to take away after the last product."""
    code = f"""
    from gpuprof.worker.device import ComputeDevice
    torch.__version__ = {version!r}
    torch._C._cuda_clearCublasWorkspaces = lambda: None
    torch._C._cuda_getCublasWorkspaceSize = lambda: 2**25
    said["memory"] = ComputeDevice(0).peak_memory()
    """
    memory = on_cuda.run(cuda_libraries, code)["memory"]
    if version == "2.14.0":
        assert memory["workspace_bytes"] == 0  # a network without matrix products
        return
    assert memory["workspace_bytes"] is None
    assert "gives each product room of its own" in memory["absent"]["workspace_bytes"]


def test_what_was_captured_for_one_graph_is_let_go_before_the_next(cuda_libraries):
    code = """
    import weakref
    from gpuprof.worker.device import ComputeDevice
    x, losses, held = torch.ones(8, device="cuda", requires_grad=True), [], []

    def step():
        held.append(sum(loss() is not None for loss in losses))
        loss = (x * 2).sum()
        losses.append(weakref.ref(loss))
        return [loss]

    ComputeDevice(0).capture(step, 3)
    said["held"] = held
    """
    assert on_cuda.run(cuda_libraries, code)["held"] == [0] * 6


def test_segments_that_grow_are_seen(cuda_libraries):
    code = """
    from gpuprof.worker.device import ComputeDevice
    device = ComputeDevice(0)
    torch.cuda.memory_stats = lambda: {"segment.all.allocated": 1, "reserved_bytes.all.allocated": reserved}
    reserved = 5
    before = device.counters()
    reserved = 6
    said["moved"] = before != device.counters()
    """
    assert on_cuda.run(cuda_libraries, code)["moved"]


def test_switches_are_set_and_read_although_a_layer_shadows_its_own(cuda_libraries):
    code = """
    from gpuprof.worker import precision
    layer = torch.nn.LSTM(4, 4).cuda()
    layer(torch.ones(2, 1, 4, device="cuda"))
    torch.backends.cudnn.rnn = type(sys)("rnn")  # what torch 2.9 and 2.10 leave there
    for asked in ("tf32", "ieee"):
        precision.switch(asked)
        said[asked] = sorted({v for k, v in precision.flags().items() if k.startswith("fp32_precision.")})
    """
    said = on_cuda.run(cuda_libraries, code)
    assert (said["tf32"], said["ieee"]) == (["tf32"], ["ieee"])
    assert len(_SWITCHES) == 6


def test_libraries_of_products_are_named_with_their_versions(cuda_libraries):
    code = """
    from gpuprof.worker.device import _BLAS, library_versions
    said["versions"] = library_versions()
    files = ("/opt/rocm/lib/librocblas.so.5.0.70000", "/x/libhipblaslt.so.1.0", "/y/libcublasLt.so.13")
    said["of files"] = _BLAS.findall("\\n".join(files))
    """
    said = on_cuda.run(cuda_libraries, code)
    assert {"cublas", "cublaslt"} <= said["versions"].keys()
    assert said["of files"] == [["rocblas", "5.0.70000"], ["hipblaslt", "1.0"], ["cublasLt", "13"]]


def test_torchs_own_reason_for_seeing_no_gpu_is_passed_on(cuda_libraries):
    env = on_cuda.environment(cuda_libraries, init_error=cuda.FABRIC_MANAGER_NOT_RUNNING)
    done = gpuprof("run", "configs/cnn.yaml", "--device", "gpu", env=env)
    assert "Error 802: system not yet initialized" in done.err
    assert "Start nvidia-fabricmanager" in done.err
    assert done.code == 3


def test_what_torch_says_where_only_the_drivers_library_sees_a_gpu(cuda_libraries):
    """As with PYTORCH_NVML_BASED_CUDA_CHECK=1: the CPU can be profiled all the same."""
    code = """
    from gpuprof.messages import Environment
    from gpuprof.worker import environment
    torch.cuda.is_available, torch.cuda.device_count = lambda: True, lambda: 1
    said["machine"] = environment.describe(Environment(), None)
    """
    machine = on_cuda.run(cuda_libraries, code, init_error=cuda.FABRIC_MANAGER_NOT_RUNNING)["machine"]
    assert machine["gpus"] == []
    assert "Error 802" in machine["no_gpu"]
    assert "Start nvidia-fabricmanager" in machine["no_gpu"]


def test_a_driver_that_says_nothing_leaves_the_usual_causes(cuda_libraries):
    env = on_cuda.environment(cuda_libraries, init_error=100)  # no device
    done = gpuprof("run", "configs/cnn.yaml", "--device", "gpu", env=env)
    assert done.code == 3
    assert "sees no GPU" in done.err


@pytest.mark.parametrize(("version", "mode", "refused"), [("2.13.0", "train", True), ("2.13.0", "infer", False),
                                                         ("2.15.0", "train", False)])  # fmt: skip
def test_captures_that_can_hang_are_refused(cuda_libraries, version, mode, refused):
    code = f"""
    from gpuprof.worker.channel import Unsupported
    from gpuprof.worker.device import ComputeDevice
    torch.__version__ = {version!r}
    x = torch.ones(8, device="cuda")
    try:
        with torch.inference_mode({mode == "infer"}):
            ComputeDevice(0).capture(lambda: x * 2, 1)
    except Unsupported as error:
        said["why"] = str(error)
    """
    said = on_cuda.run(cuda_libraries, code, rocm="gfx942:sramecc+:xnack-")
    assert ("can hang" in said.get("why", "")) is refused


def test_a_library_without_tf32_makes_the_case_unsupported(cuda_libraries, tmp_path):
    env = on_cuda.environment(cuda_libraries, rocm="gfx90a:sramecc+:xnack-", tf32=False)
    done = gpuprof("run", "configs/lstm.yaml", "--quick", "--device", "gpu", "--telemetry-hz", "0", "--set",
                   "repeats=1", "--set", "precision=tf32", "--store", tmp_path, "--json", env=env)  # fmt: skip
    (case,) = done.json["cases"]
    assert case["outcome"] == "unsupported"
    assert "no kernel for precision tf32" in case["reason"]
    assert "HIPBLAS_STATUS_NOT_SUPPORTED" in case["reason"]


def test_a_simulated_device_is_recorded_as_such_without_its_sensors(cuda_libraries, tmp_path):
    env = on_cuda.environment(cuda_libraries)
    done = gpuprof("run", "configs/rnn.yaml", "--quick", "--device", "gpu", "--telemetry-hz", "0", "--set", "repeats=1",
                   "--set", "mode=infer", "--store", tmp_path, "--json", env=env)  # fmt: skip
    assert done.code == 0, done.err
    assert done.json["simulated"] is True
