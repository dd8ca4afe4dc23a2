"""The sample runs as sides of a comparison, and what the commands make of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from gpuprof.record.run import RunRecord
from gpuprof.store import runs as store
from support.running import SAMPLES, gpuprof

CPU, GPU = SAMPLES / "cpu", SAMPLES / "simulated"
LSTM_1, LSTM_2, CNN, _ = store.run_directories(CPU)
FORMS = ("text", "json", "md", "html")
WRITTEN = [("cpu", "text"), ("cpu", "json"), ("cpu", "md"), *(("gpu", form) for form in (*FORMS, "pdf"))]
SIDES = {"cpu": (LSTM_1, LSTM_2), "gpu": ("vendor=nvidia", "vendor=amd", "--store", GPU)}


def document(*arguments: Any) -> dict[str, Any]:
    done = gpuprof("compare", *arguments, "--format", "json")
    assert done.code == 0, done.err
    return done.json


def changed(path: Path, target: Path, change) -> Path:
    """A copy of a run whose record was changed; it stays valid."""
    shutil.copytree(path, target)
    data = store.read(target).model_dump(mode="json", by_alias=True)  # as of today's schema
    change(data)
    RunRecord.model_validate(data)
    (target / "record.json").write_text(json.dumps(data))
    return target


def outputs(form: str, *arguments: Any) -> str:
    done = gpuprof(*arguments, "--format", form)
    assert done.code == 0, done.err
    return done.out
