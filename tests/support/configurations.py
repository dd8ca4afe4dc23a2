"""Configurations out of a text, as if it stood in a file x.yaml."""

from __future__ import annotations

from gpuprof.config import configuration as config
from gpuprof.config.yaml_source import Source
from gpuprof.record.config import ConfigRecord


def parse(text: str, *overrides: str) -> config.Configuration:
    record = ConfigRecord(file="x.yaml", sha256="0" * 64, text=text)
    return config.parse(Source(text, "x.yaml"), overrides, record)
