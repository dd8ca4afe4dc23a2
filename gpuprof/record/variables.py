"""THE table of environment variables that can change results: what records keep, and what fairness looks at.

A closed list: of a prefix such as NVIDIA_ or TORCH_ nobody knows what it will hold, and API keys have been found there.
Whole families stand here only where a library alone names them. Vendor names are data: nothing is decided by them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

JOB = "SLURM_JOB_ID"
# What a variable changes, for the fairness ledger, and the names: a * at the end stands for a library's own family.
TABLE = {
    "which device is used": (
        "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "NVIDIA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES",
        "ROCR_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL",
    ),
    "how work is launched": (
        "CUDA_LAUNCH_BLOCKING", "CUDA_MODULE_LOADING", "CUDA_DEVICE_MAX_CONNECTIONS", "CUDA_SCALE_LAUNCH_QUEUES",
        "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE", "CUDA_MPS_PINNED_DEVICE_MEM_LIMIT", "CUDA_FORCE_PTX_JIT",
        "CUDA_DISABLE_PTX_JIT", "CUDA_AUTO_BOOST", "CUDA_DISABLE_PERF_BOOST",
        "HIP_LAUNCH_BLOCKING", "HIP_FORCE_DEV_KERNARG", "AMD_SERIALIZE_KERNEL", "AMD_SERIALIZE_COPY",
        "AMD_DIRECT_DISPATCH", "GPU_MAX_HW_QUEUES", "HSA_OVERRIDE_GFX_VERSION", "HSA_*",
    ),
    "which kernels and precision run": (
        "NVIDIA_TF32_OVERRIDE", "CUBLAS_*", "CUBLASLT_*", "CUDNN_*", "MIOPEN_*", "ROCBLAS_*", "HIPBLASLT_*",
        "HIPBLAS_*", "TENSILE_*", "MKL_*", "ONEDNN_*", "DNNL_*", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
        "TORCH_BLAS_PREFER_CUBLASLT", "TORCH_BLAS_PREFER_HIPBLASLT", "TORCH_CUDNN_V8_API_DISABLED",
        "TORCH_CUDNN_V8_API_LRU_CACHE_LIMIT", "TORCH_ROCM_AOTRITON_ENABLE_EXPERIMENTAL", "TORCH_ROCM_FA_PREFER_CK",
        "PYTORCH_TUNABLEOP_*", "PYTORCH_MIOPEN_SUGGEST_NHWC", "PYTORCH_NO_CUDA_MEMORY_CACHING",
        "TRITON_F32_DEFAULT", "TRITON_PTXAS_PATH", "TRITON_DEFAULT_FP_FUSION", "DISABLE_ADDMM_CUDA_LT",
        "DISABLE_ADDMM_HIP_LT", "TORCHDYNAMO_*", "TORCHINDUCTOR_*", "TORCH_COMPILE_DISABLE", "TORCH_LOGS",
    ),
    "how memory is handed out": (
        "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_HIP_ALLOC_CONF", "PYTORCH_ALLOC_CONF", "CUDA_MANAGED_FORCE_DEVICE_ALLOC",
        "MALLOC_ARENA_MAX", "MALLOC_CONF", "MALLOC_TRIM_THRESHOLD_", "LD_PRELOAD",
    ),
    "how the CPU's threads work": (
        "OMP_NUM_THREADS", "OMP_PROC_BIND", "OMP_PLACES", "OMP_WAIT_POLICY", "OMP_DYNAMIC", "OMP_SCHEDULE",
        "OMP_MAX_ACTIVE_LEVELS", "OMP_THREAD_LIMIT", "GOMP_*", "KMP_*", "OPENBLAS_NUM_THREADS", "OPENBLAS_CORETYPE",
    ),
    "which job it was": (JOB,),
}  # fmt: skip

_NO_SETTING = ("_VERSION", "_HOME")  # of a library's own family: where it is, and which; records have its version
_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASS|CRED|AUTH|PRIVATE", re.IGNORECASE)
_EXACT = {name: why for why, names in TABLE.items() for name in names if "*" not in name}
_FAMILIES = [
    (re.compile(name.replace("*", "[A-Z0-9_]+")), why) for why, names in TABLE.items() for name in names if "*" in name
]
# Values that are credentials whatever their name: user and password in an address, or one long word of mixed letters
# and digits that is no path.
_CREDENTIAL = re.compile(r"://[^/\s:@]*:[^/\s@]+@|^(?=\S*\d)(?=\S*[A-Za-z])[A-Za-z0-9+_=-]{32,}$")
HIDDEN = "(hidden: it looks like a credential)"
_LONGEST = 400  # characters of a value; a list of preloaded libraries is some 100
_SHORTEST_SECRET = 8  # a shorter value would be cut out of words


def changes(name: str) -> str:
    """What the variable of this name changes; "" where it is none that records keep."""
    if _SECRET.search(name) or (name.endswith(_NO_SETTING) and name not in _EXACT):
        return ""
    return _EXACT.get(name) or next((why for family, why in _FAMILIES if family.fullmatch(name)), "")


# Of libraries that one vendor alone has; nothing but the ledger's length depends on it.
_ONE_VENDOR = re.compile(
    r"(CUDA|NVIDIA|CUDNN|CUBLAS|CUBLASLT|HIP|ROCR|AMD|GPU|HSA|MIOPEN|ROCBLAS|HIPBLASLT|HIPBLAS|TENSILE)_|"
    r"TRITON_PTXAS_|TORCH_(CUDNN|ROCM)_|PYTORCH_(CUDA|HIP|MIOPEN)_|TORCH_(ALLOW_TF32_CUBLAS|BLAS_PREFER)_"
)


def of_one_vendor(name: str) -> bool:
    """Whether only the libraries of one vendor read the variable of this name."""
    return _ONE_VENDOR.match(name) is not None


def kept(variables: Mapping[str, str]) -> dict[str, str]:
    """Those that a record keeps, by name: never a secret by its name, nor the value of one by its looks."""
    return {name: _harmless(value) for name, value in sorted(variables.items()) if changes(name)}


def settings(variables: Mapping[str, str]) -> dict[str, str]:
    """Those that set how work is done: neither which job it was, nor which of its host's devices a job was given."""
    return {name: value for name, value in variables.items() if name != JOB and not name.endswith("_VISIBLE_DEVICES")}


def _harmless(value: str) -> str:
    return HIDDEN if _CREDENTIAL.search(value) else value[:_LONGEST]


def without_secrets(text: str, variables: Mapping[str, str]) -> str:
    """The text without the values of secret variables: what a process printed may hold its environment."""
    for value in sorted(_secrets(variables.items()), key=len, reverse=True):
        text = text.replace(value, HIDDEN)
    return text


def _secrets(variables: Iterable[tuple[str, str]]) -> list[str]:
    return [
        v for name, v in variables if len(v) >= _SHORTEST_SECRET and (_SECRET.search(name) or _CREDENTIAL.search(v))
    ]
