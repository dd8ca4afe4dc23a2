"""Files that cannot be read."""

from __future__ import annotations

import pytest

from gpuprof.config import suite
from gpuprof.errors import ConfigError
from support.running import CONFIGS


def test_file_faults(tmp_path):
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "latin.yaml").write_bytes("workload: café".encode("latin-1"))
    for name, message in (
        ("missing.yaml", "no such file"), ("lstm", "no such file"), (".", "is a directory"),
        ("binary.yaml", "is not UTF-8"), ("latin.yaml", "is not UTF-8"),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=message):
            suite.load([tmp_path / name])
    with pytest.raises(ConfigError, match=r"did you mean .*lstm\.yaml"):
        suite.load([CONFIGS / "lstmm.yaml"])
