"""Checks of what has to be there before a GPU computes: drivers, device files, variables, libraries, torch."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from gpuprof.absent import Absent
from gpuprof.doctor.facts import FILTERS, FIRST_FILTER, LIBCUDA, NOT_ASKED, TITLES, Facts, Library, Torch
from gpuprof.doctor.findings import Finding, give, groups, note, ok, problem, skipped, unset, warning
from gpuprof.telemetry.attribute import simulated as is_simulated
from gpuprof.text import plural

_DRIVERS = {"nvidia": "nvidia", "amd": "amdgpu"}
_BUILDS = {"nvidia": "cuda", "amd": "rocm"}
_BUILD_TITLES = {"cpu": "CPU-only", "cuda": "CUDA", "rocm": "ROCm"}
# Device files without which nothing works, by the beginning of their path.
_NEEDED = {"nvidia": ("/dev/nvidiactl",), "amd": ("/dev/kfd", "/dev/dri/renderD")}
# The oldest driver for each CUDA, from NVIDIA's table of CUDA compatibility.
_CUDA_DRIVERS = {"12": 525, "13": 580}
_PIP = "pip install --force-reinstall torch torchvision --index-url https://download.pytorch.org/whl/"
_ALL = "all indexes: https://pytorch.org/get-started/locally"
_INSTALL = {
    "nvidia": f"{_PIP}cu130\n(nvidia-smi's header shows the newest CUDA version the driver supports; {_ALL})",
    "amd": f"{_PIP}rocm7.2\n(choose the index closest to the installed ROCm, `cat /opt/rocm/.info/version`; {_ALL})",
}
_OLDER = _INSTALL["nvidia"].replace("cu130", "cu126")
_DRIVE = {
    "nvidia": "install NVIDIA's driver on the host (from the distribution's packages), then restart",
    "amd": "sudo modprobe amdgpu; if that fails, install AMD's driver: https://rocm.docs.amd.com (amdgpu-dkms)",
}
# First entries that hide every GPU. NoDevFiles is what Slurm sets for a job without device files of GPUs.
_NO_GPU = ("", "-1", "NoDevFiles")
_FIT = "pip uninstall amdsmi, then use the amdsmi of the installed ROCm: export PYTHONPATH=/opt/rocm/share/amd_smi"
_COMPILE = {
    "": "apt-get install g++ python3-dev   (or what your distribution calls them)",
    LIBCUDA: "sudo ldconfig   (or export TRITON_LIBCUDA_PATH=FOLDER, the one that has libcuda.so.1)",
}
_TWICE = (
    f"{FIRST_FILTER} filters first and renumbers from 0; the others then index what remains, which may be nothing. "
    "Slurm sets several of them on AMD nodes."
)


def hardware(facts: Facts) -> Iterator[Finding]:
    """The GPUs in this machine, usable or not."""
    for vendor, title in TITLES.items():
        cards = [card for card in facts.cards if card.vendor == vendor]
        if cards:
            where = ", ".join(f"{card.address} ({card.device})" for card in cards)
            yield ok(f"{plural(len(cards), f'{title} GPU')} on the PCI bus: {where}")
    if not any(facts.has(vendor) for vendor in TITLES):
        yield note("no NVIDIA or AMD GPU in this machine: only the CPU can be measured")
    if facts.wsl:
        why = "NVML works in part, AMD SMI not at all, and a virtual machine adds overhead: not for comparisons."
        yield note("running under WSL: few sensors are available", why)


def simulated(facts: Facts) -> Iterator[Finding]:
    """A simulator's library is loaded in place of a vendor's, or of the one that torch computes with."""
    gpus = () if isinstance(facts.torch, Absent) else facts.torch.gpus
    computing = [f"gpu:{gpu['index']} {gpu['name']}" for gpu in gpus if is_simulated(gpu["name"])]
    if ids := ", ".join([*(gpu.id for gpu in facts.gpus if gpu.simulated), *computing]):
        why = "Names, sensor readings and energies are made up; results measured with them are marked as simulated."
        fix = "remove the simulated libraries from LD_LIBRARY_PATH, ROCM_HOME and ROCM_PATH"
        fix += " (those of torch from LD_PRELOAD)" if computing else ""
        yield warning(f"simulated GPUs, not real hardware: {ids}", why, fix)


def torch_import(facts: Facts) -> Iterator[Finding]:
    """Whether torch is installed and can be imported."""
    torch, installed = facts.torch, facts.packages.get("torch")
    if not isinstance(torch, Absent):
        build = _BUILD_TITLES.get(torch.build, torch.build)
        yield ok(f"torch {torch.version}, {build} build")
    elif installed is None and (torch == NOT_ASKED or "No module named 'torch'" in torch.reason):
        fix = "\n".join(_INSTALL[v] for v in TITLES if facts.has(v)) or "pip install torch torchvision"
        yield problem("torch is not installed", "Nothing can be measured without it.", fix)
    elif torch != NOT_ASKED:
        fix = "`python -c 'import torch'` shows the full error; reinstall torch and torchvision together"
        yield problem("torch cannot be used", torch.reason, fix)
    else:
        unchecked = "not checked: its build, the GPUs it sees and supports, and which sensors belong to them"
        yield skipped(f"torch {installed} was not started (--quick)", unchecked)


def drivers(facts: Facts) -> Iterator[Finding]:
    """A GPU whose kernel driver is missing or cannot compute."""
    for (vendor, driver), cards in groups(facts.cards, lambda card: (card.vendor, card.driver)):
        title = f"{TITLES[vendor]} GPU {', '.join(card.address for card in cards)}"
        needed = _DRIVERS[vendor]
        if driver == "vfio-pci":
            yield note(f"{title} is reserved for a virtual machine (vfio-pci)")
        elif driver != needed:
            why = f"Computing needs the {needed} driver; `sudo dmesg | grep -i {needed}` may show why it is not in use."
            has = f"the wrong driver ({driver})" if driver else "no driver"
            yield _grave(facts, vendor)(f"{title} has {has}", why, _DRIVE[vendor])


def access(facts: Facts) -> Iterator[Finding]:
    """Device files that are missing, as in a container without the GPU, or not accessible to this user."""
    for vendor, title in TITLES.items():
        if not facts.has(vendor) or facts.wsl or _problems(facts, vendor, drivers):
            continue
        nodes = [node for node in facts.nodes if node.vendor == vendor]
        missing = [name for name in _NEEDED[vendor] if not any(node.path.startswith(name) for node in nodes)]
        closed = [node for node in nodes if not node.writable]
        if missing and not facts.visible(vendor):
            why, fix = "The driver creates these device files when it loads.", f"sudo modprobe {_DRIVERS[vendor]}"
            if facts.container:
                why = f"This container ({facts.container}) was started without the GPU."
                fix = give(vendor, facts.container)
            yield _grave(facts, vendor)(f"{title}: {' and '.join(missing)} missing", why, fix)
        elif closed:
            owners = sorted({(node.gid, node.group or "") for node in closed})
            names = " and ".join(f"{gid} ({name or 'unnamed here'})" for gid, name in owners)
            why = f"Owned by group {names}; this process has groups {', '.join(map(str, facts.groups))}."
            weigh = warning if facts.visible(vendor) else _grave(facts, vendor)
            paths = ", ".join(node.path for node in closed)
            yield weigh(f"{title}: no permission to open {paths}", why, _join(owners, facts.container))


def _join(owners: Sequence[tuple[int, str]], container: str | None) -> str:
    """How to get into the groups that own device files."""
    ours = [(gid, name) for gid, name in owners if gid not in (0, 65534)]  # root and nobody are no groups to join
    if not ours and container:
        return "run the container as root, or with rootless podman: --group-add keep-groups"
    if not ours:
        return "give group render read and write access to the device files (ROCm's and NVIDIA's udev rules do this)"
    if container:  # the names of groups mean nothing there: the host's number of render differs from the image's
        numbers = " ".join(f"--group-add {gid}" for gid, _ in ours)
        return f"docker run {numbers} ...   (on the host: --group-add $(getent group render | cut -d: -f3))"
    return f"sudo usermod -a -G {','.join(name or str(gid) for gid, name in ours)} $USER, then log in again"


def visibility(facts: Facts) -> Iterator[Finding]:
    """Variables that hide GPUs from torch, or filter them twice.

    torch's build decides whose variables count. A list ends at its first invalid entry, so only an invalid first entry
    hides every GPU. If torch was not started, the finding is a prediction.
    """
    for vendor in TITLES:
        build = _BUILDS[vendor] if isinstance(facts.torch, Absent) else facts.torch.build
        filters = {name: facts.variables[name] for name in FILTERS[vendor] if name in facts.variables}
        if build != _BUILDS[vendor] or not facts.has(vendor) or not filters:
            continue
        settings = " ".join(f"{name}={value}" for name, value in filters.items())
        visible = facts.visible(vendor)
        # The library may itself see fewer cards than there are. 0, where neither lists one, makes no entry a wrong one.
        present = max(len(facts.listed(vendor)), sum(card.vendor == vendor for card in facts.cards))
        later = [name for name in filters if name != FIRST_FILTER]
        renumbered = FIRST_FILTER in filters and bool(later)
        empty = [name for name, value in filters.items() if _first_entry(value) in _NO_GPU]
        choice, beyond = present, [name for name, value in filters.items() if _is_beyond(value, present)]
        if renumbered and FIRST_FILTER not in beyond:
            # The later lists count in what the first one leaves. If any of them goes beyond it, none is needed.
            choice = len(filters[FIRST_FILTER].split(","))
            beyond = later if any(_is_beyond(filters[name], choice) for name in later) else []
        if (empty or beyond) and not visible:
            why = "An empty list, -1 or NoDevFiles hides every GPU."
            if not empty:
                why = f"A list ends at its first invalid entry; {plural(choice, 'GPU')} can be listed, from 0."
            why = f"{why} {_TWICE}" if renumbered else why
            yield problem(f"{settings} hides every GPU from torch", why, unset(empty or beyond))
        elif renumbered:
            yield note(f"GPUs are filtered twice: {settings}", _TWICE, unset(later))
        elif visible and visible < present:
            yield note(f"torch sees {visible} of {present} {TITLES[vendor]} GPUs: {settings}")


def _first_entry(value: str) -> str:
    return value.split(",")[0].strip()


def _is_beyond(value: str, choice: int) -> bool:
    """Whether a list begins with an index that does not exist; UUIDs are never taken for wrong."""
    entry = _first_entry(value)
    return choice > 0 and re.fullmatch("[0-9]{1,6}", entry) is not None and int(entry) >= choice


def torch_build(facts: Facts) -> Iterator[Finding]:
    """A torch built for the CPU only, or for the other vendor's GPUs."""
    vendors = [vendor for vendor in TITLES if facts.has(vendor)]
    if isinstance(facts.torch, Absent) or not vendors:
        return
    others = [vendor for vendor in vendors if _BUILDS[vendor] != facts.torch.build]
    names, fix = " and ".join(TITLES[vendor] for vendor in others), "\n".join(_INSTALL[vendor] for vendor in others)
    if facts.torch.build == "cpu":
        why = f"torch {facts.torch.version} has no GPU support: only the CPU can be measured."
        yield problem(f"CPU-only torch on a machine with {names} GPUs", why, fix)
    elif others == vendors:
        why = f"torch {facts.torch.version} cannot use them. The torch on PyPI is the CUDA build."
        build = _BUILD_TITLES.get(facts.torch.build, facts.torch.build)
        yield problem(f"{build} build of torch on a machine with {names} GPUs", why, fix)
    elif others:
        why = "A torch build supports one vendor: measure the other GPUs from a second virtual environment."
        yield note(f"this torch cannot use the {names} GPUs", why)


def libraries(facts: Facts) -> Iterator[Finding]:
    """The vendor libraries that read power, temperature and clocks."""
    for library in facts.libraries:
        listed = facts.listed(library.vendor)
        if listed and library.fault is None:
            origin = f" ({library.version})" if library.version else ""
            yield ok(f"{library.name}{origin} lists {plural(len(listed), 'GPU')}")
        elif not facts.has(library.vendor) or library.fault is None:
            continue
        elif causes := _problems(facts, library.vendor, drivers, access):
            yield skipped(f"{library.name} not checked: {causes[0].title}")
        else:
            why, fix = _library_fix(library, facts)
            yield _grave(facts, library.vendor)(f"{library.name}: {library.fault.reason}", why, fix)


def _library_fix(library: Library, facts: Facts) -> tuple[str, str]:
    capabilities = facts.variables.get("NVIDIA_DRIVER_CAPABILITIES", "all")
    if library.vendor == "nvidia" and not {"all", "utility"} & set(capabilities.split(",")):
        why = f"NVIDIA_DRIVER_CAPABILITIES={capabilities} lacks utility, which provides NVML in the container."
        return why, "docker run --gpus all -e NVIDIA_DRIVER_CAPABILITIES=compute,utility ..."
    why = f"Without it, power, energy and temperature cannot be measured. {library.noise}".strip()
    return why, _FIT if library.fault is not None and "does not fit" in library.fault.reason else library.fix


def torch_sees(facts: Facts) -> Iterator[Finding]:
    """A torch with the right build that sees no GPU."""
    torch = facts.torch
    for vendor, title in TITLES.items():
        if isinstance(torch, Absent) or torch.build != _BUILDS[vendor] or not facts.has(vendor):
            continue
        if torch.gpus:
            names = ", ".join(f"gpu:{gpu['index']} {gpu['name']}" for gpu in torch.gpus)
            yield ok(f"torch sees {plural(len(torch.gpus), 'GPU')}: {names}")
        elif causes := _problems(facts, vendor, drivers, access, visibility):
            yield skipped(f"torch sees no {title} GPU: {causes[0].title}")
        elif needed := _newer_driver(facts, torch):
            why = f"torch {torch.version} was built for CUDA {torch.toolkit}, which needs driver {needed} or newer."
            fix = f"update the driver, or install a torch built for an older CUDA:\n{_OLDER}"
            yield problem("the NVIDIA driver is too old for this torch", why, fix)
        elif torch.no_gpu:
            fix = "sudo systemctl start nvidia-fabricmanager" if "fabricmanager" in torch.no_gpu else ""
            yield problem(f"torch {torch.version} sees no {title} GPU", torch.no_gpu, fix)
        else:
            why = "Driver, files and variables look right; `python -c 'import torch; torch.zeros(1).cuda()'` shows why."
            fix = give(vendor, facts.container) if facts.container else "restart the machine if the driver was updated"
            yield problem(f"torch {torch.version} sees no {title} GPU", why, fix)


def _newer_driver(facts: Facts, torch: Torch) -> int | None:
    """The driver that torch's CUDA needs, if NVML reports an older one."""
    needed = _CUDA_DRIVERS.get(torch.toolkit.partition(".")[0])
    for gpu in facts.listed("nvidia"):
        installed = str(gpu.values.get("driver_version", "")).partition(".")[0]
        if needed and re.fullmatch("[0-9]{1,6}", installed) and int(installed) < needed:
            return needed
    return None


def packages(facts: Facts) -> Iterator[Finding]:
    """The PyPI package pynvml, which conflicts with NVIDIA's own nvidia-ml-py."""
    installed = facts.packages.get("pynvml", "")
    fix = "pip uninstall -y pynvml; pip install --force-reinstall nvidia-ml-py"
    if re.match("1[2-9]", installed):  # brings no module pynvml any more
        yield note(f"the package pynvml {installed} is not needed and makes nvidia-ml-py print warnings", "", fix)
    elif installed:
        beside = "alongside" if "nvidia-ml-py" in facts.packages else "instead of"
        why = "Both provide a module called pynvml, and the last one installed is used; only nvidia-ml-py is NVIDIA's."
        yield warning(f"the package pynvml {installed} is installed {beside} nvidia-ml-py", why, fix)


def amdsmi_fits(facts: Facts) -> Iterator[Finding]:
    """A Python package amdsmi from a different release than its C library."""
    reasons = (absent.reason for gpu in facts.listed("amd") for absent in gpu.absent.values())
    reason = next((reason for reason in reasons if "different releases" in reason), None)
    if reason is not None:
        why = f"{reason}. Sensors that would be misread are skipped."
        yield problem("amdsmi and libamd_smi come from different releases", why, _FIT)


def architecture(facts: Facts) -> Iterator[Finding]:
    """GPUs for which this torch has no machine code."""
    torch = facts.torch
    if isinstance(torch, Absent) or not torch.architectures:
        return
    for gpu in torch.gpus:
        own = str(gpu["architecture"] or "").partition(":")[0]
        if not own or _runs(own, torch.architectures):
            continue
        fix = "a torch that lists it in torch.cuda.get_arch_list(): the newest release, or AMD's images (rocm/pytorch)"
        if own.startswith("sm_"):
            newer = all(_capability(own) > _capability(built) for built in torch.architectures)
            fix = f"a newer torch:\n{_INSTALL['nvidia']}" if newer else f"a torch built for an older CUDA:\n{_OLDER}"
        why = f"torch {torch.version} was built for {' '.join(torch.architectures)}; its kernels fail on this GPU."
        yield problem(f"gpu:{gpu['index']} {gpu['name']}: this torch build does not support {own}", why, fix)


def _runs(own: str, built: Sequence[str]) -> bool:
    """Whether a GPU of architecture `own` (sm_90, gfx942) runs code that was built for these."""
    if not own.startswith("sm_"):
        # Generic code serves a family: gfx11-generic is for gfx1100 and its relatives.
        families = [name[:-8].replace("-", "") for name in built if name.endswith("-generic")]
        return own in built or own.startswith(tuple(families))
    # Machine code runs on newer GPUs of its generation; PTX (compute_) is compiled for anything newer.
    mine = _capability(own)
    fitting = [name for name in built if _capability(name) <= mine]
    return any(name.startswith("compute_") or _capability(name)[0] == mine[0] for name in fitting)


def _capability(name: str) -> tuple[int, int]:
    """sm_120 and compute_90a as (12, 0) and (9, 0)."""
    digits = re.search("_([0-9]{1,3})([0-9])", name)
    return (int(digits[1]), int(digits[2])) if digits else (0, 0)


def override(facts: Facts) -> Iterator[Finding]:
    """HSA_OVERRIDE_GFX_VERSION, which makes ROCm treat a GPU as another model."""
    value = facts.variables.get("HSA_OVERRIDE_GFX_VERSION")
    if value and facts.has("amd"):
        real = ", ".join(sorted({str(gpu.values.get("architecture", "unknown")) for gpu in facts.listed("amd")}))
        why = f"Every AMD GPU ({real or 'unknown'}) is treated as that model, which may crash or give wrong results."
        yield note(f"HSA_OVERRIDE_GFX_VERSION={value} is set", why, unset(["HSA_OVERRIDE_GFX_VERSION"]))


def compiler(facts: Facts) -> Iterator[Finding]:
    """What torch.compile needs beside torch."""
    if facts.compile_lacks:
        why = "It builds code on this machine; cases with `variant: compile` fail without it."
        fixes = {_COMPILE.get(lack, _COMPILE[""]): None for lack in facts.compile_lacks}  # each once, in this order
        yield note(f"torch.compile finds no {' and no '.join(facts.compile_lacks)}", why, "\n".join(fixes))


def _grave(facts: Facts, vendor: str) -> Callable[..., Finding]:
    """`problem`, or `note` where GPUs of another vendor can be used, as beside an integrated GPU."""
    if isinstance(facts.torch, Absent):
        used = {gpu.vendor for gpu in facts.gpus if not gpu.simulated}
    else:
        used = {gpu["vendor"] for gpu in facts.torch.gpus}
    return note if used and vendor not in used else problem


def _problems(facts: Facts, vendor: str, *checks: Callable[[Facts], Iterator[Finding]]) -> list[Finding]:
    """The problems, no lesser findings, that these checks find with one vendor's GPUs alone."""
    only = {name: tuple(x for x in getattr(facts, name) if x.vendor == vendor) for name in ("cards", "gpus", "nodes")}
    own = replace(facts, **only)  # type: ignore[arg-type]
    return [finding for check in checks for finding in check(own) if finding.status == "problem"]
