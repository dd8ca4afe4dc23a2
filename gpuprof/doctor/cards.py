"""Checks of each GPU's condition, and of the sensors that belong to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from gpuprof.absent import Absent
from gpuprof.doctor.facts import FILTERS, TITLES, Facts, Seen
from gpuprof.doctor.findings import Finding, by_text, give, note, problem, warning
from gpuprof.telemetry import kept
from gpuprof.text import plural

_NO_COUNTER = Absent("no counter")


def lost(facts: Facts) -> Iterator[Finding]:
    """GPUs that fell off the bus or need a reset."""
    for reason, gpus in by_text(facts, lambda gpu: gpu.absent["device"].reason if "device" in gpu.absent else ""):
        yield problem(f"{gpus}: lost", f"{reason}. See `sudo dmesg`.", "restart the machine")
    for library in facts.libraries:
        for reason in library.unusable:
            if "no permission" in reason:  # as a job is given some of a node's GPUs, and not the others
                why = f"{reason}. It belongs to others, as far as this user or job is concerned."
                yield note(f"{library.name} may not open a GPU", why)
            else:
                why = f"{reason}. See `sudo dmesg`."
                yield problem(f"{library.name} cannot open a GPU", why, "restart the machine")


def power(facts: Facts) -> Iterator[Finding]:
    """GPUs that report neither power nor energy."""
    for reason, gpus in by_text(facts, _no_power):
        yield warning(f"{gpus}: neither power nor energy can be read", f"{reason}.")


def _no_power(gpu: Seen) -> str:
    readable = {"energy_j", "power_instant_w", "power_average_w"} & set(gpu.values)
    return "" if readable or "energy_j" not in gpu.absent else gpu.absent["energy_j"].reason


def calibration(facts: Facts) -> Iterator[Finding]:
    """Whether the energy counter was found to count rightly."""
    for text, gpus in by_text(facts, lambda gpu: "; ".join(kept.doubts(gpu.calibration or _NO_COUNTER))):
        yield warning(f"{gpus}: {text}", "Energy measured by it is wrong, and its checks say so.")
    for reason, gpus in by_text(facts, lambda gpu: getattr(gpu.calibration, "reason", "")):
        why = f"{reason[:1].upper()}{reason[1:]}. A counter that sees a part of the time looks like one that sees all."
        yield note(
            f"{gpus}: nothing has shown yet that the energy counter is right", why, "gpuprof calibrate-telemetry"
        )


def attribution(facts: Facts) -> Iterator[Finding]:
    """GPUs of torch whose sensors cannot be identified, and a number of GPUs that differs from the library's."""
    for library in facts.libraries:
        vendor, seen, listed = library.vendor, facts.visible(library.vendor), facts.listed(library.vendor)
        if isinstance(facts.torch, Absent) or not seen or library.fault is not None:
            continue
        for reason in facts.torch.unattributed:
            fix = "unset the variables that hide GPUs, or use whole GPUs rather than partitions"
            yield warning("a GPU would be measured without power or energy", f"{reason}.", fix)
        filtered = any(name in facts.variables for name in FILTERS[vendor])
        if seen != len(listed) and not filtered and not any(gpu.values.get("partition") == "MIG" for gpu in listed):
            why = "No variable hides GPUs; a container may have the device files of only some of them."
            fix = give(vendor, facts.container) if facts.container else ""
            title = f"torch sees {plural(seen, f'{TITLES[vendor]} GPU')}, {library.name} lists {len(listed)}"
            yield warning(title, why, fix)


def power_cap(facts: Facts) -> Iterator[Finding]:
    """A power limit below the default: the GPU is slower than others of its model."""
    fixes = {"nvidia": "sudo nvidia-smi -i INDEX -pl WATTS", "amd": "sudo amd-smi reset --gpu INDEX --power-cap"}
    for vendor, fix in fixes.items():
        for text, gpus in by_text(replace(facts, gpus=tuple(facts.listed(vendor))), _capped):
            yield warning(f"{gpus}: {text}", "Slower than other GPUs of this model.", fix)


def _capped(gpu: Seen) -> str:
    limit, default = gpu.values.get("power_limit_w"), gpu.values.get("power_limit_default_w")
    return f"power capped at {limit:g} W (default {default:g} W)" if limit and default and limit < default - 0.5 else ""


def busy(facts: Facts) -> Iterator[Finding]:
    """Other processes on the GPU."""
    for text, gpus in by_text(facts, _users):
        why = "They share its time, memory and power. In a container these are the host's PIDs."
        yield warning(f"{gpus}: in use by {text}", why, "wait for them, stop them, or use another GPU")


def _users(gpu: Seen) -> str:
    processes = gpu.values.get("processes") or ()
    shown = ", ".join([*(str(process["pid"]) for process in processes[:4]), *(["..."] if len(processes) > 4 else [])])
    return f"{plural(len(processes), 'process', 'processes')} (PID {shown})" if processes else ""


def ecc(facts: Facts) -> Iterator[Finding]:
    """Memory errors that ECC could not correct."""
    for text, gpus in by_text(facts, lambda gpu: str(gpu.values.get("ecc_uncorrected") or "")):
        why = "Memory has returned wrong data since the driver was loaded: results may be wrong, programs may crash."
        fix = "restart to reset the GPU; if the errors return, replace it"
        yield warning(f"{gpus}: {text} uncorrectable memory errors (ECC)", why, fix)


def pcie(facts: Facts) -> Iterator[Finding]:
    """A PCIe link that runs narrower than it could."""
    for text, gpus in by_text(facts, _narrow):
        why = "An idle link may narrow to save power; if it stays so under load, copies are slower: check the slot."
        yield note(f"{gpus}: {text}", why)


def _narrow(gpu: Seen) -> str:
    width, most = gpu.values.get("pcie_width"), gpu.values.get("pcie_width_max")
    return f"the PCIe link uses {width} of {most} lanes" if width and most and width < most else ""


def partitions(facts: Facts) -> Iterator[Finding]:
    """Devices that share one package and its power."""
    for text, gpus in by_text(facts, _partition):
        yield note(f"{gpus}: {text}", "Power and energy cover all of them, not just the one in use.")


def _partition(gpu: Seen) -> str:
    if str(gpu.values.get("partition", "")).startswith("MIG"):
        if gpu.shared_by is None:
            return "MIG is on, power is shared with instances that cannot be seen from here"
        return f"MIG is on, power is shared by {plural(gpu.shared_by, 'instance')}"
    several = gpu.shared_by or 1
    if several > 1 and "MI2" in str(gpu.values.get("name", "")):
        return "dies of one board; power is for both together"
    return f"power is shared by {several} devices of one package" if several > 1 else ""


def cpu_energy(facts: Facts) -> Iterator[Finding]:
    """The CPU's energy counters, which on most systems only root may read."""
    why = facts.cpu.absent.get("energy_j")
    if why is not None and why.status == "no_permission":
        fix = "sudo chmod a+r /sys/class/powercap/*/energy_uj   (until the next restart)"
        yield warning("no permission to read the CPU's energy (RAPL)", f"{why.reason}.", fix)
    elif why is not None:
        yield note(f"no CPU energy: {why.reason}")
