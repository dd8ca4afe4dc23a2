"""The input of every section: a comparison, and the names of its sides."""

from __future__ import annotations

from dataclasses import dataclass

from gpuprof.analysis.compare import Comparison
from gpuprof.report.charts.pictures import Timeline
from gpuprof.report.story import Tone

TONES: dict[str | None, Tone] = {"faster": "good", "slower": "bad", "no difference shown": "plain", None: "dim"}


@dataclass(frozen=True)
class Subject:
    """A comparison with what its sections share."""

    comparison: Comparison
    names: tuple[str, str]  # of baseline and candidate, as readers see them
    hues: tuple[str, str]  # their colours, as CSS variables
    timeline: Timeline  # of both sides; empty where it is not drawn
