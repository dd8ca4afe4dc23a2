"""A night: what was planned, what was measured, and what became of it."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field

from gpuprof.analysis import compare as comparing
from gpuprof.analysis import history as following
from gpuprof.errors import EXIT_OK, EXIT_REGRESSION, EXIT_RUN_FAILED
from gpuprof.nightly.measure import Measured, Plan
from gpuprof.report.stories.history import regression
from gpuprof.text import one_line, plural

METRIC = comparing.HEADLINE


@dataclass
class Night:
    plan: Plan
    measured: list[Measured]
    worse: list[following.Regression] = field(default_factory=list)
    judged: list[following.Series] = field(default_factory=list)
    unwritten: list[str] = field(default_factory=list)  # what of the night's files, and why

    @property
    def runs(self) -> list[str]:
        return [run for one in self.measured for run in one.runs]

    @property
    def failed(self) -> list[Measured]:
        return [one for one in self.measured if one.fault]

    @property
    def exit_code(self) -> int:
        return EXIT_REGRESSION if self.worse else EXIT_RUN_FAILED if self.failed or self.unwritten else EXIT_OK

    @property
    def line(self) -> str:
        """What a person reads in a mail."""
        parts = [f"REGRESSED: {regression(one)}" for one in self.worse]
        parts += [f"FAILED: {one.config}: {one.fault}" for one in self.failed]
        parts += [f"FAILED: {one}" for one in self.unwritten]
        if not self.worse and self.judged:
            parts.append("nothing slower")
        alone = sum(series.newest is None for series in self.judged)
        firsts = f", {alone} for the first time" if alone else ""
        before = "" if any(one.fresh for one in self.measured) else " before (--again measures anew)"
        parts.append(f"{plural(len(self.judged), 'case')} measured{before}{firsts}")
        report = str(self.plan.place / "report.html")
        if not any(one.startswith(report) for one in self.unwritten):
            parts.append(f"report {report}")
        return one_line(f"gpuprof {self.plan.night} on {socket.gethostname()}: {'; '.join(parts)}")
