"""The names in some sides' runs that say who and where they were measured."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import PurePath

from gpuprof.analysis.evidence import Evidence
from gpuprof.record.redaction import Redaction
from gpuprof.record.variables import JOB


def redaction(sides: Sequence[Evidence]) -> Redaction:
    """Replaces hosts, cards, jobs and the directories of the runs of these sides."""
    jobs = [
        str(variables[JOB])
        for side in sides
        for text in side.facts.get("variables", {})
        if JOB in (variables := json.loads(text))
    ]
    return Redaction(
        hosts=[host for side in sides for host in side.facts.get("host", {})],
        cards=[head.data["machine"] for side in sides for head in side.heads],
        jobs=jobs,
        places=[
            str(PurePath(where).parent) for side in sides for _, _, where in side.runs if PurePath(where).is_absolute()
        ],
    )
