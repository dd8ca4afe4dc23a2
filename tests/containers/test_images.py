"""The vendors' images: built with the real buildah, run with the real podman, on stand-ins for the vendors' bases."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path

import pytest

from support import simulators, standin
from support.running import ROOT
from support.standin import DOCKERFILES, VENDORS

UID = "10001"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
_WHY_NOT = standin.missing()
needs_engine = pytest.mark.skipif(bool(_WHY_NOT), reason=f"cannot build images: {_WHY_NOT}")
pytestmark = [pytest.mark.slow, pytest.mark.container]


# ---- bases and images


@pytest.fixture(scope="module")
def engine():
    # Not below pytest's own directory: podman takes no more than 50 characters.
    engine = standin.Engine(Path(tempfile.mkdtemp(prefix="gpuprof-")))
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def wheels(tmp_path_factory) -> Path:
    """All that pip would fetch in a build, and torch in other versions, which it is to leave alone."""
    folder = tmp_path_factory.mktemp("wheels")
    asked = (ROOT / "pyproject.toml").read_text().partition("\ndependencies = [")[2].partition("\n]")[0]
    names = set(re.findall(r'^  "([A-Za-z0-9-]+)', asked, re.M))
    assert {"pydantic", "torch", "torchvision"} < names
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary", ":all:", "--dest", folder]
    standin.done([*pip, "hatchling>=1.27", *sorted(names - {"torch", "torchvision", "vl-convert-python"})])
    standin.wheel(folder, "vl_convert_python", "99.0")  # draws charts, which takes 100 MB
    return folder


@pytest.fixture(scope="module")
def hollow(wheels, tmp_path_factory) -> Path:
    """The same packages by name, so that a build takes seconds, and torch in other versions, to be left alone."""
    folder = tmp_path_factory.mktemp("hollow")
    for path in wheels.glob("*.whl"):
        if path.name.startswith(
            ("hatchling", "packaging", "pathspec", "pluggy", "trove_classifiers", "tomli", "typing")
        ):
            os.link(path, folder / path.name)
        else:
            standin.wheel(folder, *path.name.split("-")[:2])
    for version in ("2.13.0", "100.0"):
        standin.wheel(folder, "torch", version)
        standin.wheel(folder, "torchvision", version, needs=f"torch=={version}")
    return folder


@pytest.fixture(scope="module")
def plain(engine, tmp_path_factory) -> tuple[str, str]:
    """A base with Python and pip, which takes packages from the mounted wheels; and where its packages lie."""
    tree = standin.userland(tmp_path_factory.mktemp("base") / "root")
    ask = "import sysconfig; print(sysconfig.get_path('purelib'), sysconfig.get_path('stdlib'))"
    site, stdlib = standin.done(["chroot", tree, "python3", "-c", ask]).stdout.split()
    standin.copy(standin.distribution("pip"), tree / site[1:])
    (tree / stdlib[1:] / "EXTERNALLY-MANAGED").write_text("[externally-managed]\nError=as in NVIDIA's image\n")
    name = engine.image("plain", "scratch", tree, PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                        PIP_NO_INDEX="1", PIP_FIND_LINKS=standin.WHEELS)  # fmt: skip
    shutil.rmtree(tree.parent)
    return name, site


def _mounts(wheels: Path | None = None) -> list[str]:
    found = ["--volume", f"{sysconfig.get_paths()['purelib']}:{standin.SITE}:ro"]
    return [*found, "--volume", f"{wheels}:{standin.WHEELS}:ro"] if wheels else found


def _amd_smi(root: Path, libraries: Path) -> None:
    """AMD SMI as ROCm lays it below one of its roots."""
    standin.copy(standin.distribution("amdsmi"), root / "share/amd_smi")
    (root / "lib").mkdir(parents=True, exist_ok=True)
    shutil.copy2(libraries / "lib/libamd_smi.so", root / "lib")


@pytest.fixture(scope="module")
def images(engine, plain, wheels, libraries, tmp_path_factory) -> dict[str, str]:
    """Both images, on bases with the torch of these tests: in Python's own folder, and in a venv beside pip's ROCm."""
    name, site = plain
    torch = standin.needed_by("torch", "torchvision").values()
    nvidia = tmp_path_factory.mktemp("nvidia")
    standin.link(torch, nvidia / site[1:])
    bases = {"cuda": engine.image("nvidia", name, nvidia)}

    amd = tmp_path_factory.mktemp("amd")
    packages = amd / f"opt/venv/lib/{standin.PYTHON}/site-packages"
    standin.link(torch, packages)
    standin.copy(standin.distribution("pip"), packages)
    _amd_smi(packages / "_rocm_sdk_core", libraries)
    (amd / "opt/venv/bin").mkdir()
    home = "/usr/bin" if sys.base_prefix == "/usr" else "/usr/local/bin"
    (amd / "opt/venv/bin/python3").symlink_to(f"{home}/python3")
    (amd / "opt/venv/pyvenv.cfg").write_text(f"home = {home}\n")
    bases["rocm"] = engine.image("amd", name, amd, PATH="/opt/venv/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    for vendor, base in bases.items():
        engine.build(
            DOCKERFILES[vendor], base, f"gpuprof-{vendor}", *_mounts(wheels), "--build-arg", f"REVISION={COMMIT}"
        )
    return {vendor: f"localhost/gpuprof-{vendor}" for vendor in VENDORS}


# ---- what was built


@needs_engine
def test_what_an_image_says_of_itself(engine, images):
    for vendor, image in images.items():
        told = json.loads(engine.podman("image", "inspect", image).stdout)[0]
        config, labels = told["Config"], told["Labels"]
        assert config["User"] == f"{UID}:{UID}"
        assert config["Entrypoint"] == ["gpuprof"]
        assert config["WorkingDir"] == "/gpuprof"
        assert list(config["Volumes"]) == ["/results"]
        assert told["Healthcheck"]["Test"] == ["CMD", "gpuprof", "doctor", "--quick"]
        assert labels["org.opencontainers.image.base.name"].startswith("localhost/")
        assert {f"org.opencontainers.image.{key}" for key in ("title", "licenses", "version", "revision")} <= set(
            labels
        )
        assert labels["org.opencontainers.image.revision"] == COMMIT
        assert ("NVIDIA_DRIVER_CAPABILITIES=compute,utility" in config["Env"]) == (vendor == "cuda")


@needs_engine
def test_no_cache_no_source_and_no_setting_of_the_build_is_left(engine, images):
    for image in images.values():
        root = Path(engine.podman("image", "mount", image).stdout.strip())
        assert not [*(root / "tmp").iterdir(), *(root / "root").iterdir()]
        assert not any((root / name).exists() for name in ("src", "gpuprof/gpuprof", "var/cache/apt/archives"))
        assert sorted(path.name for path in (root / "gpuprof/configs").iterdir()) == sorted(
            path.name for path in (ROOT / "configs").iterdir()
        )
        packages = json.loads((root / "gpuprof/sbom.cdx.json").read_text())
        assert {"gpuprof-dl", "click", "torch"} <= {part["name"] for part in packages["components"]}
        engine.podman("image", "unmount", image)


def _results(tmp_path: Path, uid: str) -> Path:
    results = tmp_path / "results"
    results.mkdir()
    os.chown(results, int(uid), int(uid))
    return results


@needs_engine
@pytest.mark.parametrize("vendor, uid, repeats", [("cuda", UID, 2), ("rocm", "54321", 1)])
def test_a_run_as_no_root_on_a_root_that_cannot_be_written(engine, images, tmp_path, vendor, uid, repeats):
    results = _results(tmp_path, uid)
    options = [*_mounts(), "--volume", f"{results}:/results", "--tmpfs", "/tmp:size=1g", "--hostname", "gpu-host"]
    options += [] if uid == UID else ["--user", f"{uid}:{uid}"]
    short = ("--set", f"repeats={repeats}", "--set", "threads=1")
    engine.run(images[vendor], "run", "configs/lstm.yaml", "--quick", *short, options=options)
    (path,) = results.glob("*/record.json")
    record = json.loads(path.read_text())
    assert path.stat().st_uid == int(uid)
    about = record["environment"]
    assert (about["container"], about["hostname"], about["gpuprof_commit"]) == ("podman", "gpu-host", COMMIT[:12])
    (case,) = record["cases"]
    assert case["correctness"]["verdict"] == "pass"
    assert [repeat["outcome"] for repeat in case["repeats"]] == ["ok"] * repeats


@needs_engine
def test_the_health_check_passes_without_a_gpu(engine, images, tmp_path):
    for image in images.values():
        code, told = engine.health(image, options=[*_mounts(), "--volume", f"{tmp_path}:/sys/bus/pci/devices:ro"])
        assert (code, "only the CPU can be measured" in told) == (0, True), told


# ---- devices


@needs_engine
@pytest.mark.parametrize(
    "vendor, kind, scenario, nodes",
    [
        ("cuda", "nvidia.com/gpu", "h100", ("/dev/nvidia0", "/dev/nvidiactl", "/dev/nvidia-uvm")),
        ("rocm", "amd.com/gpu", "mi300x_spx", ("/dev/kfd", "/dev/dri/renderD128")),
    ],
)
def test_a_device_comes_in_by_its_cdi_specification(engine, images, libraries, tmp_path, vendor, kind, scenario, nodes):
    """As the vendors' own specifications do it: device files, and for NVIDIA the driver's libraries, of the host."""
    described = simulators.load(scenario)
    simulators.variables(libraries, described, tmp_path)
    tmp_path.chmod(0o755)
    mounts = {"/opt/scenario": tmp_path}
    if vendor == "cuda":
        mounts["/usr/lib/libnvidia-ml.so.1"] = libraries / "libnvidia-ml.so.1"
    specification = standin.specify(kind, nodes, mounts, {"GPUSIM_SCENARIO": "/opt/scenario"})
    try:
        options = [*_mounts(), "--device", f"{kind}=standin"]
        seen = json.loads(engine.run(images[vendor], "devices", "--json", options=options).stdout)
        files = engine.run(images[vendor], *nodes, options=[*options, "--entrypoint", "ls"]).stdout.split()
    finally:
        specification.unlink()
    assert sorted(files) == sorted(nodes)
    assert [gpu["name"] for gpu in seen if gpu["vendor"] in ("nvidia", "amd")] == [
        gpu["name"] for gpu in described["gpus"]
    ]
    without = json.loads(engine.run(images[vendor], "devices", "--json", options=_mounts()).stdout)
    assert not [gpu for gpu in without if gpu["vendor"] in ("nvidia", "amd")]


@needs_engine
@pytest.mark.parametrize(
    "vendor, kind, card, nodes, rights, says",
    [
        ("cuda", "nvidia.com/gpu", ("0x10de", "nvidia"), ("/dev/nvidia0", "/dev/nvidiactl"), {}, "libnvidia-ml"),
        ("rocm", "amd.com/gpu", ("0x1002", "amdgpu"), ("/dev/kfd", "/dev/dri/renderD128"),
         {"uid": 0, "gid": 992, "fileMode": 0o660}, "no permission to open /dev/dri/renderD128, /dev/kfd"),
    ],
    ids=["no library", "no permission"],
)  # fmt: skip
def test_the_health_check_fails_where_a_gpu_cannot_be_used(
    engine, images, tmp_path, vendor, kind, card, nodes, rights, says
):
    """The device files are there, but not all that they need. On the PCI bus, which is the host's, there is a GPU."""
    maker, driver = card
    place = tmp_path / "0000:41:00.0"
    (place / driver).mkdir(parents=True)
    (place / "driver").symlink_to(driver)
    (place / "vendor").write_text(maker)
    (place / "class").write_text("0x030200")
    tmp_path.chmod(0o755)
    specification = standin.specify(kind, nodes, {"/sys/bus/pci/devices": tmp_path}, {}, **rights)
    try:
        code, told = engine.health(images[vendor], options=[*_mounts(), "--device", f"{kind}=standin"])
    finally:
        specification.unlink()
    assert (code, says in told) == (1, True), told


# ---- the vendor's torch


def _base(engine, plain, name: str, tree: Path, torch: str) -> str:
    """A base whose torch is a wheel that only bears its name, and this version."""
    image, site = plain
    folder = tree / site[1:]
    folder.mkdir(parents=True)
    standin.unpack(standin.wheel(tree.parent, "torch", torch), folder)
    standin.unpack(standin.wheel(tree.parent, "torchvision", torch), folder)
    return engine.image(name, image, tree)


@needs_engine
def test_a_newer_torch_of_the_vendor_stays(engine, plain, hollow, tmp_path):
    base = _base(engine, plain, "newer", tmp_path / "tree", "99.0+vendor")
    engine.build(DOCKERFILES["cuda"], base, "newer-built", *_mounts(hollow))
    root = Path(engine.podman("image", "mount", "newer-built").stdout.strip())
    site = root / plain[1][1:]
    found = sorted(path.name for path in site.glob("torch*.dist-info"))
    assert found == ["torch-99.0+vendor.dist-info", "torchvision-99.0+vendor.dist-info"]
    assert "99.0+vendor" in (site / "torch/__init__.py").read_text()
    engine.podman("image", "unmount", "newer-built")


@needs_engine
def test_a_torch_that_gpuprof_cannot_use_ends_the_build(engine, plain, hollow, tmp_path):
    """It is too old, and a newer one is to be had: pip would take that one."""
    base = _base(engine, plain, "older", tmp_path / "tree", "2.5.1+vendor")
    built = engine.build(DOCKERFILES["cuda"], base, "older-built", *_mounts(hollow), ok=False)
    assert built.returncode
    assert re.search(r"The user requested \(constraint\) torch==2\.5\.1\+vendor", built.stdout + built.stderr)
    assert engine.podman("image", "exists", "older-built", ok=False).returncode == 1


@needs_engine
def test_a_torch_that_changed_behind_pip_ends_the_build(engine, plain, hollow, tmp_path):
    """A package whose wheel writes into torch's own folder, which no constraint hinders."""
    base = _base(engine, plain, "overwritten", tmp_path / "tree", "99.0+vendor")
    more = tmp_path / "wheels"
    shutil.copytree(hollow, more, copy_function=os.link)
    standin.wheel(more, "rich", "999.0", files={"torch/__init__.py": "__version__ = '100.0'"})
    built = engine.build(DOCKERFILES["cuda"], base, "overwritten-built", *_mounts(more), ok=False)
    assert built.returncode
    assert f"the torch of {base} was changed" in built.stdout + built.stderr
    assert f"{plain[1]}/torch/__init__.py" in built.stdout + built.stderr
    assert engine.podman("image", "exists", "overwritten-built", ok=False).returncode == 1


@needs_engine
def test_a_base_without_torch_ends_the_build(engine, plain, hollow):
    built = engine.build(DOCKERFILES["rocm"], plain[0], "none-built", *_mounts(hollow), ok=False)
    assert built.returncode
    assert f"python3 of {plain[0]} has no torch with torchvision" in built.stdout + built.stderr


# ---- AMD SMI


@needs_engine
@pytest.mark.parametrize(
    "roots, taken",
    [
        (("SITE/_rocm_sdk_core", "/opt/rocm"), "SITE/_rocm_sdk_core"),
        (("/opt/rocm",), "/opt/rocm"),
        (("/opt/rocm/core-9.1", "/opt/rocm/core-10.0"), "/opt/rocm/core-10.0"),
        ((), None),
    ],
    ids=["pip", "packages", "core", "none"],
)
def test_amd_smi_is_found_where_each_rocm_lays_it(engine, plain, libraries, tmp_path, roots, taken):
    """The vendor block alone, on a base with pip's own amdsmi of another release beside it."""
    image, site = plain
    tree = tmp_path / "tree"
    stranger = tree / site[1:] / "amdsmi"
    stranger.mkdir(parents=True)
    (stranger / "__init__.py").write_text("")
    for root in roots:
        _amd_smi(tree / root.replace("SITE", site)[1:], libraries)
    base = engine.image("smi", image, tree)
    _, block, _ = DOCKERFILES["rocm"].read_text().split("# ---- vendor\n")
    shell = re.search(r"^SHELL .*$", DOCKERFILES["rocm"].read_text(), re.M)[0]
    (tmp_path / "context").mkdir()
    short = tmp_path / "context/Dockerfile"
    short.write_text(f"ARG BASE\nFROM ${{BASE}}\nARG BASE\n{shell}\n{block}")
    built = engine.build(short, base, "smi-built", ok=taken is not None)
    if taken is None:
        assert built.returncode
        assert f"{base} has no amdsmi" in built.stdout + built.stderr
        return
    ask = "import amdsmi; print(amdsmi.__file__)"
    told = engine.run("smi-built", "-c", ask, options=["--entrypoint", "python3", "--user", UID]).stdout.strip()
    assert told == f"{taken.replace('SITE', site)}/share/amd_smi/amdsmi/__init__.py"
