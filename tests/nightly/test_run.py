"""A night: its line, its report and its textfile say the same, and what fails costs itself alone."""

from __future__ import annotations

import json
import re
import socket

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from support.made import publish
from support.nights import night


def samples(machine) -> dict[str, float]:
    text = (machine.out / "gpuprof_nightly.prom").read_text()
    return {s.name: s.value for family in text_string_to_metric_families(text) for s in family.samples}


@pytest.mark.slow
def test_the_line_the_report_and_the_textfile_say_the_same(machine):
    publish(machine.store, *((night(i, 100 + i % 3), {}) for i in range(20)))
    good = machine.night("a", night(20, 101))
    assert good.exit_code == 0
    assert "nothing slower; 1 case measured; report" in good.line
    assert samples(machine)["gpuprof_nightly_regressions"] == 0
    bad = machine.night("b", night(21, 50, driver="6.2"))
    assert bad.exit_code == 5
    assert "REGRESSED: cnn · train: 0.495× throughput in the run of 2026-09-22 (kernel 1 → 6.2)" in bad.line
    assert "\n" not in bad.line
    assert samples(machine)["gpuprof_nightly_regressions"] == 1
    assert samples(machine)["gpuprof_nightly_ratio"] == pytest.approx(0.495, rel=0.01)
    assert samples(machine)["gpuprof_throughput_samples_per_second"] == pytest.approx(50, rel=0.01)
    assert "kernel 1 → 6.2" in (machine.out / "b" / "report.html").read_text()
    later = [machine.night(f"c{i}", night(22 + i, 50, driver="6.2")) for i in range(5)]
    assert [one.exit_code for one in later] == [5] * 5
    (settled,) = later[-1].worse
    assert settled.settled
    assert settled.since.at.startswith("2026-09-22")


def test_no_name_steers_the_mail_the_textfile_or_the_report(machine, monkeypatch):
    """Names of the host, the device, the kernel, a file, and what a library said."""
    bad = "h\u202e\u2066\u200e\x1b[31m\x00\nREGRESSED"
    monkeypatch.setattr(socket, "gethostname", lambda: bad)
    publish(machine.store, *((night(i, 100, gpu=bad, host=bad), {}) for i in range(3)))
    refused = (1, json.dumps({"error": {"message": f"no\ud800 device {bad}"}}).encode())
    slower = night(4, 50, gpu=bad, host=bad, driver=bad)
    done = machine.night("a", slower, refused, configs=("x.yaml", "y\u202e\udc80.yaml"))
    assert done.exit_code == 5
    assert [bool(done.worse), bool(done.failed)] == [True, True]
    texts = [done.line, *((machine.out / name).read_text() for name in ("gpuprof_nightly.prom", "a/report.html"))]
    for text in texts:
        text.encode()
        assert "h\ufffd\ufffd\ufffd\ufffd[31m\ufffd" in text
        assert not re.search("[\x00\x1b\u200e\u200f\u202a-\u202e\u2066-\u2069]", text)
    assert done.line.isprintable(), "one line"
    samples(machine)


def test_a_failed_configuration_costs_itself_alone(machine):
    error = {"error": {"message": "gone.yaml: no such file\nreally", "exit_code": 2}}
    failed = 2, json.dumps(error).encode()
    configs = ("gone.yaml", "x.yaml")
    first = machine.night("a", failed, night(0, 100), configs=configs)
    assert first.exit_code == 1
    assert "FAILED: gone.yaml: no such file really; 1 case cannot tell yet (a first run has nothing to be" in first.line
    assert "no such file" in (machine.out / "a" / "report.html").read_text()
    assert samples(machine)["gpuprof_nightly_failed"] == 1
    late = None, b""
    second = machine.night("a", late, configs=configs)  # what was measured is not measured again
    assert "gone.yaml: not finished after 21,600 s" in second.line
    silent = -9, b""
    third = machine.night("b", silent, night(1, 40), configs=configs)
    assert third.exit_code == 5  # beside the failure, which the line tells too
    assert "REGRESSED" in third.line
    assert "FAILED: gone.yaml: gpuprof run exited with code -9" in third.line
    broken = machine.night("c", night(2, 100, outcome="error"))
    assert broken.exit_code == 1
    assert "FAILED: x.yaml: a: because of error" in broken.line
    assert machine.night("d", night(3, 100)).exit_code == 0


def test_nothing_measured_still_leaves_a_report(machine):
    done = machine.night("a", (3, b""))
    assert done.exit_code == 1
    assert "0 cases measured" in done.line
    assert "Nothing was measured." in (machine.out / "a" / "report.html").read_text()


def test_the_other_vendors_newest_runs_stand_beside(machine):
    theirs = [night(i, 100 * (1 + i), gpu="AMD Instinct MI300X", vendor="amd", host="b", effective="ieee")
              for i in range(2)]  # fmt: skip
    publish(machine.store, *((record, {}) for record in theirs))
    alone = machine.night("a", night(2, 100))  # a CPU has no vendor to be compared with
    assert "Against" not in (machine.out / "a" / "report.html").read_text()
    assert alone.exit_code == 0
    machine.night("b", night(3, 400, gpu="NVIDIA H100", effective="ieee"))
    page = (machine.out / "b" / "report.html").read_text()
    assert "Against AMD Instinct MI300X" in page
    assert "H100 is faster than MI300X, by " in page
    assert "2.00×" in page  # over the newest, not over all of them


def test_tonight_is_judged_whatever_the_clock_says_and_whatever_came_since(machine):
    publish(machine.store, *((night(i, 100 + i % 3), {}) for i in range(10, 30)))
    bad = machine.night("a", night(5, 50))  # the clock went back
    assert (bad.exit_code, len(bad.judged)) == (5, 1)
    publish(machine.store, (night(40, 100), {}))  # by hand
    again = machine.night("a")
    assert again.exit_code == 5
    assert again.line.partition("; ")[0] == bad.line.partition("; ")[0]


def test_a_plan_that_fails_takes_nothing_from_the_same_night(machine):
    publish(machine.store, *((night(i, 100 + i % 3), {}) for i in range(20)))
    machine.night("a", night(20, 50))
    wrong = machine.night("a", (2, b'{"error": {"message": "no such key"}}'), overrides=("nope=1",))
    assert (wrong.exit_code, len(wrong.judged), len(wrong.failed)) == (5, 1, 1)
    assert samples(machine)["gpuprof_throughput_samples_per_second"] == pytest.approx(50, rel=0.01)
    assert machine.night("a").failed == []  # what was wrong is not held against the night


def test_a_night_is_judged_by_what_the_plan_names(machine):
    publish(machine.store, *((night(i, 100 + i % 3), {}) for i in range(20)))
    assert machine.night("a", night(20, 101)).exit_code == 0
    assert machine.night("a", night(21, 50), overrides=("params.fused=false",)).exit_code == 5
    assert machine.night("a").exit_code == 0  # measured before the other


def test_a_run_whose_record_is_gone_is_a_failure(machine, monkeypatch):
    record = night(0, 100)
    (machine.store / record.run_id).mkdir()
    for answer in (record.to_json().encode(), b"", b"5", b"null", b"[1]", b'"run_id"', b"[" * 100_000):
        done = machine.night("a", (0, answer))  # and tried again each time
        assert done.exit_code == 1
        assert "FAILED: x.yaml: no readable record in the store" in done.line


def test_files_that_cannot_be_written_are_told_and_the_night_goes_on(machine):
    place = machine.out / "a"
    for blocked in (place / "report.html", place / "night.json", machine.out / "gpuprof_nightly.prom"):
        blocked.mkdir(parents=True)
    done = machine.night("a", night(0, 100), night(1, 100), configs=("x.yaml", "y.yaml"))
    assert done.exit_code == 1
    assert len(done.judged[0].points) == 2
    assert "; report " not in done.line
    for name in ("night.json", "report.html", "gpuprof_nightly.prom"):
        assert f"{name}: is a directory" in done.line
    assert done.failed == []
