"""The story of a whole store."""

from __future__ import annotations

from gpuprof.report.forms.document import overview as overview_document
from gpuprof.report.stories import overview
from support.sides import NOW, case, one


def test_a_report_gives_no_ratio_of_a_simulated_gpu_over_a_measured_cpu():
    cpu = one(case(regime="cpu", threads=4), kind="cpu", vendor=None, device="EPYC")
    for simulated in (False, True):
        gpu = one(case((900, 901, 902)), simulated=simulated)
        told = overview.story(overview.Overview("x", [gpu, cpu], []), NOW)
        assert ("cpu" in [section.key for section in told.sections]) == (not simulated)


def test_a_report_leaves_no_case_out():
    """Also a GPU's cases that differ in the threads of their host alone."""
    gpu = one(case(threads=1), case((200, 201, 202), threads=8))
    told = overview.story(overview.Overview("x", [gpu], []), NOW)
    (glance,) = [section for section in told.sections if section.key == "glance"]
    assert len(glance.blocks[0].rows) == 2
    assert len(overview_document(overview.Overview("x", [gpu], []), NOW)["devices"][0]["cases"]) == 2
