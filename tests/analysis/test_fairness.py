"""The fairness ledger, row by row."""

from __future__ import annotations

import pytest

from gpuprof.analysis import compare as analysis
from gpuprof.record.variables import kept
from gpuprof.report.stories import comparison
from support.sides import NOW, PROTOCOL, case, claims, compare, one, rows, run, side

# ---- simulated and measured


def test_simulated_against_measured_blocks_everything():
    cases = [case(), case(workload="gru")]
    found = compare(one(*cases), one(*cases, simulated=True))
    assert rows(found)["simulated"].weight == "blocks"
    assert (rows(found)["simulated"].baseline, rows(found)["simulated"].candidate) == ("measured", "simulated")
    assert not any(claim.allowed for claim in (*found.claims, found.overall))
    assert found.simulated


def test_simulated_and_measured_runs_on_both_sides_block_as_well():
    mixed = [side(run(case()), run(case(), simulated=True)) for _ in range(2)]
    found = compare(*mixed)
    assert rows(found)["simulated"].weight == "blocks"
    assert not any(claim.allowed for claim in (*found.claims, found.overall))


# ---- the ledger, row by row

RUN_FACTS = [
    # key, fact, baseline's, candidate's, weight
    ("gpuprof", "gpuprof", "0.2", "0.3", "weakens"),
    ("gpuprof commit", "gpuprof_commit", "aaa", "bbb", "noted"),
    ("config hash", "config", "abc", "def", "noted"),
    ("torch", "torch", "2.9.0", "2.8.0", "weakens"),
    ("torch", "torch", "2.9.0+cu126", "2.9.0+rocm6.3", "noted"),
    ("torch build", "torch_build", "cuda", "rocm", "noted"),
    ("driver", "driver_version", "550.1", "560.1", "weakens"),
    ("VBIOS", "vbios_version", "1", "2", "noted"),
    ("partition", "partition", "SPX", "CPX", "blocks"),
    ("partition", "partition", None, "1g.10gb", "blocks"),
    ("ECC", "ecc_enabled", True, False, "weakens"),
    ("what power covers", "scope", "board", "socket", "weakens"),
    ("host CPU", "cpu", "EPYC", "Xeon", "noted"),
    ("CPU cores", "cores", 64, 32, "noted"),
    ("container", "container", "a@sha256:1", "a@sha256:2", "noted"),
    ("kernel", "kernel", "6.1", "6.8", "noted"),
    ("os", "os", "Ubuntu 22.04", "Ubuntu 24.04", "noted"),
    ("python", "python", "3.11", "3.12", "noted"),
    ("highest core clock", "core_clock_max_hz", 1.98e9, 1.755e9, "weakens"),
    ("repeats", "protocol", PROTOCOL, PROTOCOL | {"repeats": 9}, "weakens"),
    ("quick protocol", "protocol", PROTOCOL, PROTOCOL | {"name": "quick"}, "weakens"),
    ("NVIDIA_TF32_OVERRIDE", "variables", {}, {"NVIDIA_TF32_OVERRIDE": "1"}, "weakens"),
    ("CUDA_VISIBLE_DEVICES", "variables", {"CUDA_VISIBLE_DEVICES": "0"}, {"CUDA_VISIBLE_DEVICES": "1"}, "noted"),
    ("cudnn", "libraries", {"cudnn": "9.1"}, {"cudnn": "9.5"}, "weakens"),
    ("torchvision", "libraries", {"torchvision": "0.24"}, {"torchvision": "0.25"}, "noted"),
]


@pytest.mark.parametrize(("key", "fact", "left", "right", "weight"), RUN_FACTS)
def test_a_difference_between_the_runs_stands_in_the_ledger_and_only_then(key, fact, left, right, weight):
    differ = compare(one(case(), facts={fact: left}), one(case(), facts={fact: right}))
    entry = rows(differ)[key]
    assert entry.weight == weight
    assert entry.why
    assert entry.cases == ()
    assert entry.baseline != entry.candidate
    same = compare(one(case(), facts={fact: left}), one(case(), facts={fact: left}))
    assert same.ledger == []


def test_what_differs_because_the_vendors_do_is_noted():
    amd = {"torch_build": "rocm", "torch": "2.9.0+rocm6.3", "driver_version": "6.14", "libraries": {"miopen": "3.5"}}
    found = compare(one(case()), one(case(), vendor="amd", device="MI300X", facts=amd))
    assert {e.key: e.weight for e in found.ledger} == dict.fromkeys(
        ("torch", "torch build", "driver", "cudnn", "miopen"), "noted"
    )


def test_the_host_matters_where_it_submits_or_does_the_work():
    other = {"cpu": "Xeon", "cores": 8}
    for bound, sides in (
        ("host-bound", {}), ("cpu", {"kind": "cpu"}),
    ):  # fmt: skip
        found = compare(one(case(regime=bound), **sides), one(case(regime=bound), facts=other, **sides))
        assert rows(found)["host CPU"].weight == rows(found)["CPU cores"].weight == "weakens"


@pytest.mark.parametrize(
    ("left", "right", "weight", "why"),
    [
        ((700, 700), (350, 700), "weakens", "candidate ran below its default power limit"),
        ((350, 700), (350, 700), "weakens", "baseline and candidate ran below its default power limit"),
        ((700, 700), (800, 700), "weakens", "candidate ran above its default power limit"),
        (
            (600, 700),
            (800, 700),
            "weakens",
            "baseline ran below its default power limit, candidate ran above its default power limit",
        ),
        ((700, 700), (750, 750), "noted", "each at its default"),
        ((700, 700), (750, 751), "noted", "each at its default"),
        ((700, 700), (350, None), "weakens", "whether candidate ran at its default is unknown"),
        ((700, 700), (700, 700), None, ""),
        ((700, None), (700, None), None, ""),
        ((None, None), (700, 700), None, ""),
    ],
)
def test_power_limits(left, right, weight, why):
    facts = [{"power_limit_w": limit, "power_limit_default_w": default} for limit, default in (left, right)]
    entry = rows(compare(*(one(case(), facts=f) for f in facts))).get("power limit")
    assert (None if entry is None else (entry.weight, entry.why)) == (None if weight is None else (weight, why))


@pytest.mark.parametrize("value", ["high", [1], {"w": 2}, True, "1e999", -5.0])
def test_a_power_limit_that_is_no_power_breaks_nothing(value):
    facts = {"power_limit_w": value, "power_limit_default_w": 700.0}
    for sides in ((facts, {}), (facts, {"power_limit_w": 700.0}), (facts, facts)):
        found = compare(*(one(case(), facts=f) for f in sides))
        comparison.story(found, NOW)


def test_run_outcome_host_and_date():
    found = compare(
        one(case()), one(case(), outcome="partial", host="other", started_at="2026-11-25T00:00:00Z"),
    )  # fmt: skip
    entries = rows(found)
    assert (entries["run outcome"].baseline, entries["run outcome"].candidate) == (None, "partial")
    assert entries["run outcome"].weight == "weakens"
    assert (entries["date"].baseline, entries["date"].candidate) == ("2026-11-23", "2026-11-25")
    assert entries["date"].weight == entries["host name"].weight == "noted"


def test_many_values_of_one_fact_are_told_in_short():
    many = side(*(run(case(), facts={"driver_version": f"550.{i}"}) for i in range(6)))
    assert rows(compare(one(case()), many))["driver"].candidate == "550.0 (1), 550.1 (1), 550.2 (1) and 3 more"


CASE_FACTS = [
    ("fallback", {}, {"fallback": True}, "weakens"),
    ("precision asked for", {}, {"requested": "tf32"}, "noted"),
    ("precision switches", {"facts": {"flags": {"tf32": True}}}, {"facts": {"flags": {"tf32": False}}}, "noted"),
    ("steady", {}, {"steady": False}, "weakens"),
    ("regime", {}, {"regime": "host-bound"}, "weakens"),
    ("energy method", {}, {"energy_method": "power_trapezoid"}, "weakens"),
    ("correctness", {}, {"correctness": "drift"}, "weakens"),
    ("correctness", {}, {"correctness": None}, "weakens"),
    ("correctness", {}, {"correctness": "wrong"}, "blocks"),
    ("outcome", {}, {"outcome": "failed", "reason": "why"}, "blocks"),
    ("throttled", {"facts": {"throttled_share": {}}}, {"facts": {"throttled_share": {"power_cap": 0.3}}}, "noted"),
    ("throttled", {"facts": {"throttled_share": {}}}, {"facts": {"throttled_share": {"thermal": 0.3}}}, "weakens"),
    ("throttled", {"facts": {"throttled_share": {}}}, {"facts": {"throttled_share": {"clocks_setting": 1}}}, "weakens"),
    ("temperature at start", {"facts": {"temperature_start_c": 40}}, {"facts": {"temperature_start_c": 60}}, "noted"),
    ("conditions", {}, {"facts": {"checks": ["a foreign process appeared"]}}, "weakens"),
]  # fmt: skip


@pytest.mark.parametrize(("key", "left", "right", "weight"), CASE_FACTS)
def test_a_difference_between_the_cases_stands_in_the_ledger_and_only_then(key, left, right, weight):
    differ = compare(one(case(**left)), one(case(**right)))
    assert rows(differ)[key].weight == weight
    assert rows(differ)[key].cases == ("lstm · train",)
    assert claims(differ)[0].allowed == (weight != "blocks")
    assert compare(one(case(**left)), one(case(**left))).ledger == []


@pytest.mark.parametrize(
    "right",
    [{"throttled_share": {"power_cap": 0.04, "thermal": 0.01}}, {"throttled_share": {"idle": 0.9}},
     {"temperature_start_c": 45.0}, {"checks": []}],
)  # fmt: skip
def test_what_is_too_small_to_matter_stands_nowhere(right):
    left = {"throttled_share": {}, "temperature_start_c": 40.0}
    assert compare(one(case(facts=left)), one(case(facts=left | right))).ledger == []


def test_unknown_facts_of_a_case_are_no_difference():
    unknown = case(requested="ieee", energy_method=None, steady=None, regime=None)
    assert compare(one(case()), one(unknown)).ledger == []


def test_the_ledger_is_sorted_by_weight_and_tells_a_thing_once():
    sizes = [8, 64, 512]
    found = compare(
        one(*(case(batch_size=b) for b in sizes)),
        one(*(case(batch_size=b, steady=False) for b in sizes), case(workload="gru", correctness="wrong"),
            host="other"),
    )  # fmt: skip
    assert [e.weight for e in found.ledger] == ["weakens", "noted"]
    assert rows(found)["steady"].cases == tuple(c.title for c in found.cases)


def test_blocks_come_first():
    found = compare(
        one(case(), case(workload="gru")), one(case(steady=False), case(workload="gru", correctness="wrong"))
    )
    assert [(e.weight, e.key) for e in found.ledger] == [("blocks", "correctness"), ("weakens", "steady")]
    assert [e.key for e in found.blocked] == ["correctness"]


# What the vendors' PyTorch images set, as far as it looks as if it could matter; and what else differs between a node
# of either kind that nobody has tuned.
NVIDIA_IMAGE = {
    "CUDA_VERSION": "13.0.1.012", "CUDA_DRIVER_VERSION": "580.82.07", "CUDA_HOME": "/usr/local/cuda",
    "CUDA_MODULE_LOADING": "LAZY", "CUBLAS_VERSION": "13.0.2.14", "CUDNN_VERSION": "9.13.0.50",
    "CUDNN_FRONTEND_VERSION": "1.14.1", "NVIDIA_BUILD_ID": "210000000", "NVIDIA_DRIVER_CAPABILITIES": "compute,utility",
    "NVIDIA_VISIBLE_DEVICES": "all", "NVIDIA_REQUIRE_CUDA": "cuda>=9.0", "NVIDIA_PRODUCT_NAME": "PyTorch",
    "NVIDIA_PYTORCH_VERSION": "25.09", "PYTORCH_HOME": "/opt/pytorch/pytorch", "PYTORCH_BUILD_NUMBER": "0",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": "1", "TORCH_CUDA_ARCH_LIST": "8.0 8.6 9.0 10.0+PTX",
    "TRITON_PTXAS_PATH": "/usr/local/cuda/bin/ptxas", "OPENBLAS_VERSION": "0.3.30", "OMPI_MCA_coll_hcoll_enable": "0",
}  # fmt: skip
AMD_IMAGE = {
    "ROCM_PATH": "/opt/rocm", "ROCM_HOME": "/opt/rocm", "PYTORCH_ROCM_ARCH": "gfx90a;gfx942", "HIP_PLATFORM": "amd",
    "HSA_NO_SCRATCH_RECLAIM": "1", "HIP_FORCE_DEV_KERNARG": "1", "MIOPEN_USER_DB_PATH": "/tmp/miopen",
    "TORCH_BLAS_PREFER_HIPBLASLT": "1", "MAX_JOBS": "64",
}  # fmt: skip


def test_two_vendors_ordinary_images_are_no_cry_of_wolf():
    nvidia = {
        "torch": "2.9.0a0+50eac811a6.nv25.09", "variables": kept(NVIDIA_IMAGE), "container": "a", "gain_error": 0.05,
        "libraries": {"cuda": "13.0", "cudnn": "91300", "triton": "3.4.0", "numpy": "1.26.4"}, "cpu": "Xeon",
        "cores": 112, "power_signal": "instant", "telemetry_library": "NVML 13.580", "architecture": "sm_90",
        "pcie": "generation 5, 16 lanes", "power_limit_w": 700.0, "power_limit_default_w": 700.0, "kernel": "5.15",
    }  # fmt: skip
    amd = {
        "torch": "2.9.0+rocm7.0", "torch_build": "rocm", "variables": kept(AMD_IMAGE), "container": "b",
        "libraries": {"hip": "7.0", "miopen": "3.5", "triton": "3.4.0", "numpy": "2.1.2"},
        "power_signal": "average", "telemetry_library": "AMD SMI 26.0", "cpu": "EPYC", "cores": 96,
        "architecture": "gfx942", "pcie": "generation 5, 16 lanes", "scope": "socket", "driver_version": "6.14",
        "power_limit_w": 750.0, "power_limit_default_w": 750.0, "kernel": "6.8",
    }  # fmt: skip
    found = compare(one(case(), facts=nvidia), one(case(), facts=amd, vendor="amd", device="MI300X", machine="b"))
    weakens = {entry.key: entry.about for entry in found.ledger if entry.weight == "weakens"}
    assert weakens == {"torch": "speed and energy", "what power covers": "energy", "power signal": "energy"}
    own = rows(found)["variables of its libraries"]
    assert "HSA_NO_SCRATCH_RECLAIM=1" in own.candidate
    assert "CUDA_MODULE_LOADING=LAZY" in own.baseline


def test_no_line_in_which_both_sides_say_the_same():
    both = [
        one(case(steady=False, regime="host-bound"), facts={"protocol": PROTOCOL | {"name": "quick"}}) for _ in "bc"
    ]
    found = compare(*both)
    assert found.ledger == []
    assert {entry.key for entry in found.alike} == {"steady", "regime", "quick protocol"}
    mixed = [side(*(run(case(), facts={"protocol": PROTOCOL | {"repeats": n}}) for n in (3, 5))) for _ in "bc"]
    assert compare(*mixed).ledger == []


def test_a_run_without_a_counterpart_brings_nothing_in():
    other = run(case(workload="gru"), facts={"torch": "1.0", "driver_version": "1"})
    found = compare(one(case()), side(run(case()), other))
    assert found.ledger == []


@pytest.mark.parametrize(("runs", "told"), [((1, 5), True), ((5, 1), True), ((2, 9), True), ((3, 3), False)])
def test_turns_are_asked_of_the_side_with_fewer_runs(runs, told):
    sides = [side(*(run(case()) for _ in range(n))) for n in runs]
    assert ("turns" in {entry.key for entry in analysis.compare(*sides).ledger}) is told


def test_turns_counts_the_runs_of_a_case():
    """Six runs a side, each of another workload, are one run a case."""
    suites = [side(*(run(case(workload=w), machine="m") for w in ("cnn", "rnn", "lstm", "gru"))) for _ in "bc"]
    assert "turns" in {entry.key for entry in analysis.compare(*suites).ledger}


@pytest.mark.parametrize(
    ("days", "told"), [(((1, 2, 3), (4, 5, 6)), True), (((4, 5, 6), (1, 2, 3)), True), (((1, 3, 5), (2, 4, 6)), False)]
)
def test_runs_one_after_the_other_are_no_turns_however_many(days, told):
    """Three in a row a side may all be of one hour: what the machine did between the sides is in no scatter."""
    sides = [side(*(run(case(), started_at=f"2026-11-0{day}T09:00:00.000Z") for day in each)) for each in days]
    assert ("turns" in {entry.key for entry in analysis.compare(*sides).ledger}) is told
