"""`gpuprof run` from outside, before anything is measured; its exit codes."""

from __future__ import annotations

import re

import pytest

from gpuprof.store.assemble import assemble
from support.journals import NOW, journal, repeat
from support.running import CONFIGS, ROOT, gpuprof


def test_dry_run_tells_cases_order_and_time():
    done = gpuprof("run", CONFIGS / "lstm.yaml", "--dry-run", "--json", "--set", "sweep.batch_size=[1,8]", "--quick")
    assert done.code == 0
    plan = done.json
    assert [case["case_id"][-13:] for case in plan["cases"]] == ["b1-t100-eager", "b8-t100-eager"]
    assert len(plan["order"]) == 6
    assert 10 < plan["estimate_s"] < 600
    text = gpuprof("run", CONFIGS / "lstm.yaml", "--dry-run")
    assert "1 case x 5 fresh processes" in text.out
    assert "nothing was run" in text.out


def test_all_problems_of_all_files_come_at_once(tmp_path):
    for name, text in (("a", "workload: lsmt"), ("b", "workload: cnn\nbatch: 2\nmode: x")):
        (tmp_path / f"{name}.yaml").write_text(text)
    done = gpuprof("run", tmp_path / "a.yaml", tmp_path / "b.yaml")
    assert done.code == 2
    assert len(done.err.splitlines()) == 3
    assert re.search(r"b\.yaml:3:1: mode: 'x' is not one of train, infer", done.err)


@pytest.mark.parametrize(
    ("outcomes", "verdict", "code"),
    [
        ([["ok"]], "pass", 0), ([["ok"], ["unsupported"]], "pass", 0), ([["unsupported"]], "pass", 3),
        ([["ok", "timeout"]], "pass", 1), ([["crashed"], ["unsupported"]], "pass", 1), ([["ok"]], "wrong", 1),
    ],
)  # fmt: skip
def test_exit_code_of_a_record(outcomes, verdict, code):
    from gpuprof.cli.run import _exit_code

    record = assemble_cases(outcomes)
    correct = [
        c.model_copy(update={"correctness": c.correctness.model_copy(update={"verdict": verdict})})
        for c in record.cases
    ]
    assert _exit_code(record.model_copy(update={"cases": correct})) == code


def assemble_cases(outcomes: list[list[str]]):
    lines = journal()
    header, case, end = lines
    body = []
    for number, repeats in enumerate(outcomes):
        body.append({**case, "case_id": f"c{number}"})
        body += [
            {"type": "repeat", "case_id": f"c{number}", "repeat": repeat(i, outcome=o), "raw": {}}
            for i, o in enumerate(repeats)
        ]
    return assemble([header, *body, end], NOW)[0]


def test_no_gpu_is_exit_code_3_and_says_what_to_do():
    done = gpuprof(
        "run", CONFIGS / "lstm.yaml", "--device", "gpu", env={"CUDA_VISIBLE_DEVICES": "", "HIP_VISIBLE_DEVICES": ""}
    )
    assert done.code == 3
    assert "no GPU is available" in done.err
    assert "--device cpu" in done.err


def test_torch_that_cannot_be_imported_is_exit_code_3(tmp_path):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text(
        "raise ImportError('libcudart.so.13: cannot open shared object file')"
    )
    done = gpuprof("run", CONFIGS / "lstm.yaml", env={"PYTHONPATH": f"{tmp_path}:{ROOT}"})
    assert done.code == 3
    assert "PyTorch cannot be used" in done.err
    assert "libcudart" in done.err
