"""One case: what the configuration asks for, what the worker is sent, and what names it in the record."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any

from gpuprof import workloads
from gpuprof.case_keys import NAMED, CaseKeys
from gpuprof.workloads.workload import Workload


@dataclass(frozen=True, kw_only=True)
class CaseSpec(CaseKeys):
    """One fully resolved case; `threads` is None while the machine's physical cores are to be used."""

    workload: str
    params: dict[str, Any]

    def definition(self) -> tuple[Workload, Any]:
        """The workload and its validated parameters."""
        workload = workloads.get(self.workload)
        return workload, workload.params_model(**self.params)

    @property
    def lengths(self) -> dict[str, int]:
        """Every length that its workload declares; where the case has no key for one, the workload's default."""
        declared = workloads.get(self.workload).lengths
        asked = {name: getattr(self, name, None) for name in declared}
        return {**declared, **{name: length for name, length in asked.items() if length is not None}}

    @property
    def case_id(self) -> str:
        """Names the case by what it asks for; the same configuration always gives the same."""
        standard = workloads.get(self.workload).params_model().model_dump()
        parts = [self.workload]
        for key in NAMED:
            # A length that became a key later leaves the ids as they were, where it is the workload's own.
            later = key.length and not key.in_old_records
            default = workloads.get(self.workload).lengths.get(key.name) if later else key.default
            parts += key.in_id(getattr(self, key.name), default)
        parts += [f"{key}={_slug(value)}" for key, value in sorted(self.params.items()) if value != standard[key]]
        name = "-".join(parts)
        return name if len(name) <= 160 else f"{name[:147]}-{_digest(name)}"


def _slug(value: Any) -> str:
    """The value where it can stand in a name as it is, else a hash of it: two values never share a name."""
    text = json.dumps(value).strip('"')
    return text if re.fullmatch(r"[a-z0-9_.]{1,40}", text) else _digest(text)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
