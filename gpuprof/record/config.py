"""What a run was asked to measure. A file of its own: configurations are checked without the rest of the record."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gpuprof.record.part import CaseId, Part, RunId, Sha256


class ConfigRecord(Part):
    file: str
    sha256: Sha256
    text: str
    overrides: list[str] = Field(default_factory=list, description="KEY=VALUE, from a suite file and from --set")
    shard: Annotated[str, Field(pattern=r"^[1-9][0-9]*/[1-9][0-9]*$")] = Field(
        default="1/1",
        description="K/N: this run measured part K of N of all planned cases; 1/1 is all of them",
    )
    held: dict[CaseId, RunId] = Field(
        default_factory=dict, description="case skipped by --resume -> run in the same store that has it"
    )
