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
