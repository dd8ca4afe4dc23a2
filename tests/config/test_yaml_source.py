"""YAML as people mean it."""

from __future__ import annotations

from gpuprof.config.yaml_source import parse_value


def test_yaml_1_2_scalars():
    assert [parse_value(t) for t in ("1e-3", "yes", "NO", "12:30:45", "0o17", "0x1F", "~", "true", "1_000")] == [
        0.001, "yes", "NO", "12:30:45", 15, 31, None, True, "1_000",
    ]  # fmt: skip
