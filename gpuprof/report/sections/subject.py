"""What a comparison is told about: its result, and the names of its sides."""

from __future__ import annotations

from dataclasses import dataclass

from gpuprof.analysis.compare import Comparison
from gpuprof.analysis.evidence import Evidence
from gpuprof.report.charts.pictures import Timeline
from gpuprof.report.story import Tone

TONES: dict[str | None, Tone] = {"faster": "good", "slower": "bad", "no difference shown": "plain", None: "dim"}
_SHORT = 52


@dataclass(frozen=True)
class Subject:
    """A comparison with the names under which its sides are told of."""

    found: Comparison
    names: tuple[str, str]
    timeline: Timeline


def names(baseline: Evidence, candidate: Evidence) -> tuple[str, str]:
    """What tells the sides apart, at its shortest: devices, what was asked for, else their roles."""
    marks = [" (simulated)" if True in side.simulated else "" for side in (baseline, candidate)]
    devices = (baseline.device + marks[0], candidate.device + marks[1])
    for one, other in (devices, (baseline.text, candidate.text)):
        if one != other and one and other and max(len(one), len(other)) <= _SHORT:
            return one, other
    return "baseline", "candidate"
