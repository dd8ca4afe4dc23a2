"""Records without the names that say who and where: for exports that are sent to somebody else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from gpuprof.export.runs import RawReader
from gpuprof.record.redaction import Redaction, without_comments
from gpuprof.record.run import RunRecord

_IDENTITY = ("serial", "uuid", "pci_bus_id")  # of a sensor's device
Run = tuple[RunRecord, RawReader]


def redacted(runs: Sequence[Run]) -> list[Run]:
    """The same runs, with pseudonyms that are the same in all of them; configurations lose their comments."""
    records = [record for record, _ in runs]
    cards = [record.device.uuid or "" for record in records]
    for record in records:
        if record.telemetry is not None:
            known = record.telemetry.identity
            cards += [str(known[name].value) for name in _IDENTITY if name in known and known[name].value]
    hide = Redaction(
        hosts=[record.environment.hostname for record in records],
        cards=cards,
        jobs=[record.environment.variables.get("SLURM_JOB_ID", "") for record in records],
        places=[str(PurePath(record.config.file).parent) for record in records if record.config.file.startswith("/")],
    )
    return [(_one(record, hide), raw) for record, raw in runs]


def _one(record: RunRecord, hide: Redaction) -> RunRecord:
    data = record.model_dump(mode="json", by_alias=True)
    data["config"]["text"] = without_comments(data["config"]["text"])
    data["config"]["file"] = PurePath(data["config"]["file"]).name
    return RunRecord.model_validate(hide.of(data))
