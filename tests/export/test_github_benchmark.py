"""github-action-benchmark: one direction a file."""

from __future__ import annotations

from gpuprof.metrics import METRICS
from support.made import export, made, publish


def test_github_benchmark_is_one_direction_a_file(tmp_path):
    runs = publish(tmp_path, made())
    bigger, smaller = (
        export(runs, "--format", "github-benchmark", "--direction", d).json for d in ("bigger", "smaller")
    )
    assert export(runs, "--format", "github-benchmark").json == bigger
    assert {e["name"].rpartition(": ")[2] for e in bigger} == {m.key for m in METRICS if m.better == "higher"}
    assert not {e["name"] for e in bigger} & {e["name"] for e in smaller}
    for entry in bigger + smaller:
        assert {"name", "unit", "value", "extra"} <= entry.keys() <= {"name", "unit", "value", "extra", "range"}
        assert "\n" not in entry["name"]
    energy = next(e for e in smaller if e["unit"] == "J")
    assert (energy["value"], energy["range"]) == (0.5, "95% 0.4 to 0.6")
