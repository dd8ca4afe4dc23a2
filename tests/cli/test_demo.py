"""`gpuprof demo`: what gpuprof tells, seen before anything is measured."""

from __future__ import annotations

import pytest

from support.running import gpuprof, imported_by

HEAVY = {"torch", "torchvision", "scipy", "numpy", "pydantic", "pynvml", "amdsmi"}


@pytest.mark.slow
def test_the_sample_comparison_comes_at_once_and_says_that_it_is_simulated(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    done = gpuprof("demo", "-o", tmp_path / "demo.html")
    assert done.code == 0
    assert done.out.startswith("SIMULATED: ")
    assert "Too close to call: MI300X may be" in done.out
    assert "wrote " in done.err
    page = (tmp_path / "demo.html").read_text("utf-8")
    assert "SIMULATED" in page
    assert "Made again by <code>gpuprof compare vendor=nvidia vendor=amd --store" in page
    assert not imported_by("demo", "-o", tmp_path / "again.html") & HEAVY
