"""One case: what the configuration asks for, what the worker is sent, and what names it in the record."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any

from gpuprof import workloads
from gpuprof.workloads.workload import Workload


@dataclass(frozen=True)
class CaseSpec:
    """One fully resolved case; `threads` is None while the machine's physical cores are to be used."""

    workload: str
    mode: str
    precision: str
    batch_size: int
    seq_len: int | None
    variant: str
    threads: int | None
    seed: int
    params: dict[str, Any]

    def definition(self) -> tuple[Workload, Any]:
        """The workload and its validated parameters."""
        workload = workloads.get(self.workload)
        return workload, workload.params_model(**self.params)

    @property
    def lengths(self) -> dict[str, int]:
        """Every length that its workload declares; where the case has no key for one, the workload's default."""
        declared = workloads.get(self.workload).lengths
        return {name: getattr(self, name, None) or default for name, default in declared.items()}

    @property
    def case_id(self) -> str:
        """Names the case by what it asks for; the same configuration always gives the same."""
        standard = workloads.get(self.workload).params_model().model_dump()
        parts = [self.workload, self.mode, self.precision, f"b{self.batch_size}"]
        parts += [f"t{self.seq_len}"] if self.seq_len is not None else []
        parts += [self.variant]
        parts += [f"{self.threads}threads"] if self.threads is not None else []
        parts += [f"seed{self.seed}"] if self.seed else []
        parts += [f"{key}={_slug(value)}" for key, value in sorted(self.params.items()) if value != standard[key]]
        name = "-".join(parts)
        return name if len(name) <= 160 else f"{name[:147]}-{_digest(name)}"


def _slug(value: Any) -> str:
    """The value where it can stand in a name as it is, else a hash of it: two values never share a name."""
    text = json.dumps(value).strip('"')
    return text if re.fullmatch(r"[a-z0-9_.]{1,40}", text) else _digest(text)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
