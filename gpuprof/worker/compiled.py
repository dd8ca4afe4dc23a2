"""What torch.compile made of a network in this process. It leaves out what it cannot trace, in silence."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from gpuprof.worker.channel import Unsupported
from gpuprof.workloads.case import CaseSpec


def graphs() -> int:
    """Graphs that torch.compile has made in this process; 0 while nothing has imported its counters."""
    dynamo = _dynamo()
    return 0 if dynamo is None else int(dynamo.counters["stats"]["unique_graphs"])


def some(case: CaseSpec) -> None:
    """Raises Unsupported where the case was to be compiled and no part of it was: its times would be those of eager."""
    if case.variant != "compile" or graphs():
        return
    dynamo = _dynamo()
    causes = [*dynamo.counters["unimplemented"], *dynamo.counters["graph_break"]] if dynamo is not None else []
    switched_off = "it is switched off, for example by TORCHDYNAMO_DISABLE"
    reason = " ".join(str(causes[0]).split())[:160] if causes else switched_off
    raise Unsupported(f"torch.compile compiled no part of this network: {reason}")


def in_part(case: CaseSpec) -> Iterator[str]:
    """A warning where parts were left out, such as recurrent layers."""
    dynamo = _dynamo()
    breaks = sum(dynamo.counters["graph_break"].values()) if dynamo is not None else 0
    if case.variant == "compile" and breaks:
        reason = " ".join(next(iter(dynamo.counters["graph_break"])).split())
        yield f"only partly compiled, {breaks} graph breaks: {reason[:120]}"


def _dynamo() -> Any:
    return sys.modules.get("torch._dynamo.utils")
