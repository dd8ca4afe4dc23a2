"""What node_exporter reads."""

from __future__ import annotations

from support.nights import night


def test_cards_of_one_model_are_told_apart(machine):
    for i in range(2):
        machine.night(f"n{i}", *(night(3 * i + j, 100, gpu=gpu, config=config)
                                 for j, (gpu, config) in enumerate([("A", "x"), ("B", "x"), ("A", "y")])),
                      configs=("x.yaml", "y.yaml", "z.yaml"))  # fmt: skip
    text = (machine.out / "gpuprof_nightly.prom").read_text()
    ratios = [line.partition("}")[0] for line in text.splitlines() if line.startswith("gpuprof_nightly_ratio{")]
    assert len(set(ratios)) == len(ratios) == 3


def test_what_cannot_be_told_yet_has_a_gauge_and_each_case_its_own(machine):
    def gauges():
        lines = (machine.out / "gpuprof_nightly.prom").read_text().splitlines()
        return {line.partition("{")[0].partition(" ")[0]: line.rpartition(" ")[2]
                for line in lines if line.startswith("gpuprof_nightly_")}  # fmt: skip

    first = machine.night("n0", night(0, 100))
    assert "nothing slower" not in first.line
    assert gauges()["gpuprof_nightly_cannot_tell"] == "1"
    assert "gpuprof_nightly_resolution_ratio" not in gauges()
    for i in range(1, 12):
        last = machine.night(f"n{i}", night(i, 100 + 0.2 * (i % 3)))
    assert "nothing slower; 1 case measured" in last.line
    assert gauges()["gpuprof_nightly_cannot_tell"] == "0"
    assert gauges()["gpuprof_nightly_worse"] == "0"
    assert 0.001 < float(gauges()["gpuprof_nightly_resolution_ratio"]) < 0.1
    assert "good" in (machine.out / "n11" / "report.html").read_text()
    worse = machine.night("n12", night(12, 70))
    assert worse.exit_code == 5
    assert gauges()["gpuprof_nightly_worse"] == "1"
