"""The keys of a configuration file: types, limits and defaults. Those of a case come from the table of case keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from gpuprof.case_keys import NAMED, CaseKey


class _Workload(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    workload: str


def _field(key: CaseKey) -> tuple[Any, Any]:
    kind: Any = Literal[key.words] if key.words else Annotated[int, Field(ge=key.least, le=key.most)]
    return (kind | None if key.default is None else kind, key.default)


if TYPE_CHECKING:
    _Case = _Workload
else:
    _Case = create_model("_Case", __base__=_Workload, **{key.name: _field(key) for key in NAMED})


class Keys(_Case):
    """A configuration file with its keys checked, before its parameters are and its sweep is expanded."""

    repeats: Annotated[int, Field(ge=1, le=1000)] = 5
    timeout_s: Annotated[float, Field(gt=0, le=86_400, strict=False)] | None = None
    energy_error: Annotated[float, Field(gt=0, le=0.5, strict=False)] | None = None
    params: dict[str, Any] = Field(default_factory=dict)
    sweep: dict[str, list[Any]] = Field(default_factory=dict)


SWEEPABLE = tuple(key.name for key in NAMED)
