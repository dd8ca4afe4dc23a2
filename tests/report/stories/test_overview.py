"""The story of a whole store."""

from __future__ import annotations

import pytest

from gpuprof.report.forms.document import overview as overview_document
from gpuprof.report.stories import overview
from support.sides import NOW, case, one

H200, H100, EPYC = {"device": "H200"}, {"device": "H100"}, {"kind": "cpu", "vendor": None, "device": "EPYC"}


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


def rows(*devices):
    """Of the table at a glance: title and devices of each row."""
    told = overview.story(overview.Overview("x", devices, []), NOW)
    (glance,) = [section for section in told.sections if section.key == "glance"]
    found: dict[str, list[str]] = {}
    for title, device, *_ in glance.blocks[0].rows:
        found.setdefault(title.text or list(found)[-1], []).append(device.text)
    return found


def test_a_title_bears_no_threads_that_another_device_did_not_have():
    """The CPU's row has its threads in the title, for there they tell it from the GPUs' row."""
    cpu = one(case(regime="cpu", threads=16), **EPYC)
    apart = rows(one(case(threads=4), **H100), one(case(threads=8), **H200), cpu)
    assert apart == {"lstm · train": ["H100", "H200"], "lstm · train · 16 threads": ["EPYC"]}
    alike = rows(one(case(threads=4), **H100), one(case(threads=4), **H200), cpu)
    assert alike == {"lstm · train · 4 threads": ["H100", "H200"], "lstm · train · 16 threads": ["EPYC"]}


@pytest.mark.parametrize("threads", [(1, 8), (8, 1)])
def test_what_shares_a_row_does_not_hang_on_the_order_of_cases(threads):
    """Where one GPU ran a case under several settings, each has its row, and the other GPU stands in its own."""
    several = one(*(case(threads=count) for count in threads), **H100)
    told = rows(several, one(case(threads=8), **H200))
    assert told == {"lstm · train · 1 thread": ["H100"], "lstm · train · 8 threads": ["H100", "H200"]}


def test_a_gpu_and_a_cpu_share_no_row_whatever_their_threads():
    gpu = one(case(threads=1), case(threads=8), **H100)
    told = overview.story(overview.Overview("x", [gpu, one(case(regime="cpu", threads=8), **EPYC)], []), NOW)
    assert told.headline.startswith("2 runs on 2 device models, 3 cases")


def test_ratios_over_the_cpu_say_the_threads_of_a_gpu_that_ran_under_several():
    gpu, cpu = one(case(threads=1), case(threads=8), **H100), one(case(regime="cpu", threads=4), **EPYC)
    told = overview.story(overview.Overview("x", [gpu, one(case(threads=2), **H200), cpu], []), NOW)
    (ratios,) = [section for section in told.sections if section.key == "cpu"]
    names = [row[1].text for row in ratios.blocks[0].rows]
    assert sorted(names) == ["H100, 1 thread", "H100, 8 threads", "H200"]
