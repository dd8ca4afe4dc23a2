"""A night: what was planned, what was measured, and what became of it."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field

from gpuprof.analysis import compare as comparing
from gpuprof.analysis import history as following
from gpuprof.errors import EXIT_OK, EXIT_REGRESSION, EXIT_RUN_FAILED
from gpuprof.nightly.measure import Measured, Plan
from gpuprof.report.stories.history import cannot_tell, regression
from gpuprof.text import one_line, plural

METRIC = comparing.HEADLINE


@dataclass
class Night:
    """One night, filled in as it goes on: measured, then judged, then written."""

    plan: Plan
    measured: list[Measured]  # also what an earlier plan measured tonight
    worse: list[following.Regression] = field(default_factory=list)
    judged: list[following.Series] = field(default_factory=list)  # those with a point of tonight, which is their last
    unwritten: list[str] = field(default_factory=list)  # a fault for each file that could not be written

    @property
    def runs(self) -> list[str]:
        """Names of tonight's runs in the store."""
        return [run for measured in self.measured for run in measured.runs]

    @property
    def failed(self) -> list[Measured]:
        """Configurations of which something was not measured; each has its `fault`."""
        return [measured for measured in self.measured if measured.fault]

    @property
    def exit_code(self) -> int:
        """A regression before a failure: EXIT_REGRESSION, EXIT_RUN_FAILED, EXIT_OK."""
        return EXIT_REGRESSION if self.worse else EXIT_RUN_FAILED if self.failed or self.unwritten else EXIT_OK

    @property
    def line(self) -> str:
        """All of it in one line, for e-mail: the worst first, the report's path last."""
        parts = [f"REGRESSED: {regression(worse)}" for worse in self.worse]
        parts += [f"FAILED: {measured.config}: {measured.fault}" for measured in self.failed]
        parts += [f"FAILED: {fault}" for fault in self.unwritten]
        unclear = [series for series in self.judged if not series.can_tell()]
        clear = len(self.judged) - len(unclear)
        if not self.worse and clear:
            parts.append("nothing slower" + (f" in {clear} of {len(self.judged)} cases" if unclear else ""))
        if not self.worse and unclear:
            parts.append(f"{plural(len(unclear), 'case')} cannot tell yet ({cannot_tell(unclear)})")
        first = sum(series.newest is None for series in self.judged)
        firsts = f", {first} for the first time" if first else ""
        before = "" if any(measured.fresh for measured in self.measured) else " earlier (--again repeats it)"
        parts.append(f"{plural(len(self.judged), 'case')} measured{before}{firsts}")
        report = str(self.plan.directory / "report.html")
        if not any(fault.startswith(report) for fault in self.unwritten):
            parts.append(f"report {report}")
        return one_line(f"gpuprof {self.plan.night} on {socket.gethostname()}: {'; '.join(parts)}")
