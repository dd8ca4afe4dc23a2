"""Progress of a run on stderr: a bar with the time left in a terminal, elsewhere one line per event."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from gpuprof.cli.common import say
from gpuprof.units import show

if TYPE_CHECKING:
    from rich.console import Console

    from gpuprof.record.repeat import Repeat


# What a phase is called while one waits for it.
_PHASES = {"cold": "first step", "warmup": "warming up", "end": "done"}


class Progress:
    """A `supervisor.watcher.Watcher`: a context, in which a terminal has the bar."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar: Any = None
        self._task: Any = None
        self._total = 0
        self._done = 0
        self._repeats = 1
        self._measuring_since = 0.0
        self._last = 0.0  # when a repeat was over

    def __enter__(self) -> Progress:
        if self._console.is_terminal:
            from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn
            from rich.progress import Progress as Bar

            self._bar = Bar(
                SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
                TextColumn("{task.fields[left]}"), console=self._console, transient=True,
            )  # fmt: skip
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            with suppress(OSError):
                self._bar.stop()

    def run_started(self, run_id: str, device: str, cases: list[str], repeats: int) -> None:
        """Print how many processes are to come, and begin to count them."""
        self._repeats = repeats
        self._total = len(cases) * repeats
        self._say(f"{run_id}: {len(cases)} {'case' if len(cases) == 1 else 'cases'} x {repeats} processes on {device}")
        if self._bar is not None:
            self._task = self._bar.add_task("starting", total=self._total, left="")

    def checking(self, case_id: str) -> None:
        """Name the case beside the bar; elsewhere nothing."""
        self._describe(f"checking {case_id}")

    def checked(self, case_id: str, findings: dict[str, Any]) -> None:
        """Print the effective precision and the verdict, or why there is none."""
        correctness = findings.get("correctness") or {}
        why = findings.get("failed") or correctness.get("absent", {}).get("verdict")
        if (verdict := correctness.get("verdict")) is None:
            self._say(f"checked {case_id}: no verdict: {why}")
        else:
            effective = findings["precision"]["effective"]
            at_size = " in a batch of this size" if correctness.get("found_by") == "batch" else ""
            self._say(f"checked {case_id}: effective precision {effective}, correctness {verdict}{at_size}")

    def case_added(self, case_id: str, reason: str, repeats: int) -> None:
        """Print the reason, and count the case's processes too."""
        self._total += repeats
        self._say(f"added {case_id}: {reason}")
        if self._bar is not None:
            self._bar.update(self._task, total=self._total)

    def measuring(self, case_id: str, repeat: int) -> None:
        """Name the repeat beside the bar. The first one starts the clock for the time left."""
        self._measuring_since = self._measuring_since or time.monotonic()
        self._describe(f"{case_id}  repeat {repeat + 1} of {self._repeats}: starting")

    def phase(self, case_id: str, repeat: int, name: str) -> None:
        """Name the phase beside the bar, with the time left at the mean pace so far."""
        self._describe(f"{case_id}  repeat {repeat + 1} of {self._repeats}: {_PHASES.get(name, name)}")

    def measured(self, case_id: str, repeat: Repeat) -> None:
        """Print throughput or what went wrong, and the time left at the mean pace so far."""
        self._done += 1
        if repeat.outcome == "unsupported":
            self._total -= self._repeats - 1  # it is not tried again
        if repeat.throughput is not None:
            result = show(repeat.throughput.samples_per_s, "samples/s")
        else:
            result = f"{repeat.outcome.replace('_', ' ')}: {repeat.reason}"
        self._last = time.monotonic()
        left_text = self._left()
        self._say(f"[{self._done}/{self._total}] {case_id} repeat {repeat.index + 1}: {result}"
                  + (f"   ({left_text})" if self._bar is None and self._done < self._total else ""))  # fmt: skip
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done, total=self._total, left=left_text)

    def _left(self) -> str:
        """At the mean pace so far; "" before there is one."""
        if not self._done:
            return ""
        pace = (self._last - self._measuring_since) / self._done
        left = max(0.0, pace * (self._total - self._done) - (time.monotonic() - self._last))
        return f"{left:.0f} s left" if left < 120 else f"{left / 60:.0f} min left"

    def _describe(self, text: str) -> None:
        if self._bar is not None:
            self._bar.update(self._task, description=text, left=self._left())

    def _say(self, text: str) -> None:
        out = self._bar.console if self._bar is not None else self._console
        say(out, text, "dim")
