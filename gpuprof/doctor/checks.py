"""The list of checks: facts in, findings out. Causes come first, so that later checks skip what follows from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from gpuprof.absent import Absent
from gpuprof.doctor.cards import (
    attribution,
    busy,
    calibration,
    cpu_energy,
    ecc,
    lost,
    partitions,
    pcie,
    power,
    power_cap,
)
from gpuprof.doctor.facts import Facts
from gpuprof.doctor.findings import Finding
from gpuprof.doctor.software import (
    access,
    amdsmi_fits,
    architecture,
    compiler,
    drivers,
    hardware,
    libraries,
    override,
    packages,
    simulated,
    torch_build,
    torch_import,
    torch_sees,
    visibility,
)  # fmt: skip
from gpuprof.text import plural

CHECKS: tuple[Callable[[Facts], Iterator[Finding]], ...] = (
    hardware, simulated, torch_import, drivers, access, visibility, torch_build, libraries, torch_sees, packages,
    amdsmi_fits, lost, power, calibration, architecture, override, attribution, power_cap, busy, ecc, pcie, partitions,
    compiler, cpu_energy,
)  # fmt: skip


def examine(facts: Facts) -> list[Finding]:
    """The findings of all CHECKS, in their order."""
    return [finding._replace(check=check.__name__) for check in CHECKS for finding in check(facts)]


def verdict(facts: Facts, findings: Sequence[Finding]) -> str:
    """One line that sums up: how many problems, or what this machine is ready to measure on."""
    problems = [finding for finding in findings if finding.status == "problem"]
    if problems:
        return plural(len(problems), "problem") + ("; start with the first" if len(problems) > 1 else "")
    if isinstance(facts.torch, Absent):
        return "no problems found, but torch was not checked; `gpuprof doctor` checks everything"
    names = Counter(str(gpu["name"]) for gpu in facts.torch.gpus)
    devices = [name if count == 1 else f"{count} x {name}" for name, count in names.items()]
    return f"ready to measure on: {', '.join([*devices, str(facts.cpu.values.get('name', 'the CPU'))])}"
