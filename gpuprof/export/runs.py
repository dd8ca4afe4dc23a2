"""What the formats share: the runs, which measurement is the newest, and text that breaks no format."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from datetime import datetime, timezone

from gpuprof.record import Case, RunRecord

# Reads the run's raw.npz: series -> values. Empty where there is none to read.
RawReader = Callable[[], Mapping[str, Sequence[float]]]
Runs = Sequence[tuple[RunRecord, RawReader]]


def in_order(runs: Runs) -> list[tuple[RunRecord, RawReader]]:
    """Oldest first."""
    return sorted(runs, key=lambda run: (run[0].started_at, run[0].run_id))


def newest(runs: Runs, key: Callable[[RunRecord, Case], Hashable]) -> list[tuple[RunRecord, Case]]:
    """Of each key the newest case that was measured.

    One whose results are wrong is left out together with what it replaced: an older value is not today's.
    """
    found: dict[Hashable, tuple[RunRecord, Case]] = {}
    for record, _ in in_order(runs):
        found |= {key(record, case): (record, case) for case in record.cases if case.outcome == "ok"}
    return [(record, case) for record, case in found.values() if not is_wrong(case)]


def is_wrong(case: Case) -> bool:
    return case.correctness.verdict == "wrong"


def benchmark_name(record: RunRecord, case: Case) -> str:
    """Stable from run to run, so that a tool finds the history: what was measured, and on which model of device."""
    return f"{case.case_id} on {one_line(record.device.name)}{' (SIMULATED)' if record.simulated else ''}"


def plain(text: str) -> str:
    """Without control characters, which steer terminals and end lines in some readers; tabs and newlines stay."""
    return "".join("\N{REPLACEMENT CHARACTER}" if _is_control(c) else c for c in text)


def one_line(text: str) -> str:
    return " ".join(plain(text).split())


def _is_control(char: str) -> bool:
    return (char < " " and char not in "\t\n") or "\x7f" <= char <= "\x9f"


def moment(text: str) -> datetime | None:
    """A time of a record (ISO 8601); None where it is none."""
    try:
        found = datetime.fromisoformat(text.replace("Z", "+00:00"))  # Python 3.10 knows no Z
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=timezone.utc)
