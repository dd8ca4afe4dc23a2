"""The input of every section: a comparison, and the names of its sides."""

from __future__ import annotations

from dataclasses import dataclass

from gpuprof.analysis.compare import Comparison
from gpuprof.analysis.evidence import Evidence
from gpuprof.report.charts.pictures import Timeline
from gpuprof.report.story import Tone

TONES: dict[str | None, Tone] = {"faster": "good", "slower": "bad", "no difference shown": "plain", None: "dim"}
_SHORT = 52  # characters of a name that still fits a heading


@dataclass(frozen=True)
class Subject:
    """A comparison with what its sections share."""

    comparison: Comparison
    names: tuple[str, str]  # of baseline and candidate, as readers see them
    timeline: Timeline  # of both sides; empty where it is not drawn


def names(baseline: Evidence, candidate: Evidence) -> tuple[str, str]:
    """Names that tell the sides apart: their devices, else the texts that selected them, else their roles."""
    marks = [" (simulated)" if True in side.simulated else "" for side in (baseline, candidate)]
    devices = (baseline.device + marks[0], candidate.device + marks[1])
    for pair in (devices, (baseline.text, candidate.text)):
        if pair[0] != pair[1] and all(pair) and max(map(len, pair)) <= _SHORT:
            return pair
    return "baseline", "candidate"
