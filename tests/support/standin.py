"""Stand-ins for the vendors' images, which hold tens of gigabytes: this machine's own userland, Python and torch.

A stand-in holds real programs, copied from what Debian's packages of this machine own, and the Python that runs the
tests. torch and what it needs are links to a folder that is mounted where the image is built and run, or wheels that
only bear its name. No registry and no package index are needed to make one.
"""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterable, Sequence
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from support.running import ROOT

VENDORS = ("cuda", "rocm")
DOCKERFILES = {vendor: ROOT / f"Dockerfile.{vendor}" for vendor in VENDORS}
SITE = "/opt/site"  # where the site-packages of the tests are mounted
WHEELS = "/opt/wheels"
_USERLAND = (
    "base-files", "bash", "coreutils", "diffutils", "findutils", "grep", "libc-bin", "libstdc++6", "passwd", "sed",
    "zlib1g",
)  # fmt: skip
_NEEDLESS = ("/usr/share/doc/", "/usr/share/man/", "/usr/share/locale/", "/usr/share/info/", "/usr/share/lintian/")
# As docs/containers.md says: a read-only root, and no rights.
_SAFE = (
    "--pull", "never", "--network", "none", "--read-only", "--cap-drop", "all", "--security-opt", "no-new-privileges",
    # podman asks for more than root itself may have in a container, where the hard limits are lower.
    "--ulimit", "nofile=4096:4096", "--ulimit", "nproc=4096:4096",
)  # fmt: skip
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"


def missing() -> str:
    """Why images cannot be built here; empty when they can."""
    lacking = [name for name in ("buildah", "podman", "runc", "dpkg-query", "tar") if shutil.which(name) is None]
    if lacking:
        return f"not installed: {', '.join(lacking)} (apt-get install buildah podman runc)"
    return "" if os.geteuid() == 0 else "needs root, to chroot and to write /var/run/cdi"


def done(command: Sequence[object], *, ok: bool = True, **options) -> subprocess.CompletedProcess[str]:
    result = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, timeout=200, **options)
    if ok and result.returncode:
        raise AssertionError(f"{' '.join(map(str, command))}\n{result.stdout}{result.stderr}")
    return result


class Engine:
    """buildah and podman on a storage of their own, which `close` leaves no trace of."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        # In memory it is four times as fast, and gone at once.
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4g", "tmpfs", directory], capture_output=True, check=False)
        # Layers are cheap with overlay; vfs, which copies each one, works on every file system.
        for driver in ("overlay", "vfs"):
            self._where = ["--root", directory / driver, "--runroot", directory / "run", "--storage-driver", driver]
            if self.buildah("from", "--name", "probe", "scratch", ok=False).returncode == 0:
                mounted = self.buildah("mount", "probe", ok=False).returncode == 0
                self.buildah("rm", "probe", ok=False)
                if mounted:
                    break

    def buildah(self, *arguments: object, **options) -> subprocess.CompletedProcess[str]:
        return done(["buildah", *self._where, *arguments], **options)

    def podman(self, *arguments: object, **options) -> subprocess.CompletedProcess[str]:
        own = ["--runtime", shutil.which("runc"), "--cgroup-manager", "cgroupfs", "--events-backend", "file"]
        return done(["podman", *self._where, *own, *arguments], **options)

    def image(self, name: str, base: str, tree: Path | None, **variables: str) -> str:
        """`base` (or nothing) with the files of `tree` laid over it."""
        container = self.buildah("from", "--pull-never", base).stdout.strip()
        if tree is not None:
            self.buildah("add", "--quiet", container, tree, "/")
        for key, value in variables.items():
            self.buildah("config", "--env", f"{key}={value}", container)
        self.buildah("commit", "--quiet", "--format", "docker", "--rm", container, name)
        return f"localhost/{name}"

    def build(
        self, dockerfile: Path, base: str, name: str, *options: object, ok: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """The image as a user builds it. `options` are mounts: the stand-in's torch and wheels."""
        return self.buildah(
            "build", "--pull-never", "--isolation", "chroot", "--format", "docker", "--no-cache", *options,
            "--build-arg", f"BASE={base}", "--file", dockerfile, "--tag", name, dockerfile.parent, ok=ok,
        )  # fmt: skip

    def run(self, image: str, *arguments: object, options: Sequence[object] = (), ok: bool = True):
        return self.podman("run", "--rm", "--no-healthcheck", *_SAFE, *options, image, *arguments, ok=ok)

    def health(self, image: str, options: Sequence[object] = ()) -> tuple[int, str]:
        """The exit code of the image's own health check in a running container, and the first 500 bytes it printed."""
        no_timer = {**os.environ, "DISABLE_HC_SYSTEMD": "true"}
        idle = ["--entrypoint", "sleep", image, "300"]
        name = self.podman("run", "--detach", *_SAFE, *options, *idle, env=no_timer).stdout.strip()
        # It cleans up by itself after the container's end: not when the storage is gone, which it would lay out anew.
        monitor = os.pidfd_open(self._state(name)["ConmonPid"])
        try:
            self.podman("healthcheck", "run", name, ok=False)
            last = self._state(name)["Health"]["Log"][-1]
        finally:
            self.podman("rm", "--force", "--time", "0", name)
            select.select([monitor], [], [], 60)
            os.close(monitor)
        return last["ExitCode"], last["Output"]

    def _state(self, container: str) -> dict[str, Any]:
        return json.loads(self.podman("inspect", container).stdout)[0]["State"]

    def close(self) -> None:
        for place in (self.directory / "overlay" / "overlay", self.directory):
            subprocess.run(["umount", "--lazy", place], capture_output=True, check=False)
        shutil.rmtree(self.directory, ignore_errors=True)


# ---- the userland


def _closure(seeds: Iterable[str]) -> list[str]:
    """Installed Debian packages that these need, and the essential ones."""
    form = r"${Package}\t${Essential}\t${Provides}\t${Pre-Depends}, ${Depends}\n"
    needs, essential, provided = {}, [], {}
    for line in done(["dpkg-query", "--show", f"--showformat={form}"]).stdout.splitlines():
        package, vital, provides, wants = line.split("\t")
        needs[package] = [re.findall(r"(?:^|\|)\s*([a-z0-9.+-]+)", group) for group in wants.split(",")]
        provided |= dict.fromkeys(re.findall(r"(?:^|,)\s*([a-z0-9.+-]+)", provides), package)
        essential += [package] if vital == "yes" else []
    found: dict[str, None] = {}
    todo = [*essential, *seeds]
    while todo:
        package = todo.pop()
        if package in needs and package not in found:
            found[package] = None
            names = [next((n for n in group if n in needs or n in provided), None) for group in needs[package]]
            todo += [name if name in needs else provided[name] for name in names if name]
    return sorted(found)


def userland(target: Path) -> Path:
    """A root file system with a shell, its tools and the Python of the tests, without packages."""
    of_debian = sys.base_prefix == "/usr"
    for name in ("bin", "sbin", "lib", "lib64"):
        (target / "usr" / name).mkdir(parents=True)
        (target / name).symlink_to(f"usr/{name}")
    for name in ("tmp", "proc", "sys", "dev", "run", "root", "etc/ld.so.conf.d", "usr/local/bin", "usr/local/lib"):
        (target / name).mkdir(parents=True)
    (target / "tmp").chmod(0o1777)
    packages = _closure((*_USERLAND, *((PYTHON, "python3-minimal") if of_debian else ())))
    owned = done(["dpkg-query", "--listfiles", *packages]).stdout.splitlines()
    files = [path for path in owned if path.startswith("/") and not path.startswith(_NEEDLESS)]
    _copy([path for path in files if os.path.islink(path) or os.path.isfile(path)], target)
    (target / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/bash\n")
    (target / "etc/group").write_text("root:x:0:\nvideo:x:44:\n")
    if not of_debian:
        stdlib = Path(sysconfig.get_paths()["stdlib"])
        skipped = shutil.ignore_patterns("site-packages", "test", "tests", "config-*", "idlelib", "*.a", "lib2to3")
        shutil.copytree(stdlib, target / "usr/local/lib" / PYTHON, symlinks=True, ignore=skipped)
        (target / "usr/local/lib" / PYTHON / "site-packages").mkdir()
        executable = Path(sys.base_prefix, "bin", PYTHON)
        shutil.copy2(executable, target / "usr/local/bin")
        for library in stdlib.parent.glob(f"lib{PYTHON}*.so.*"):
            shutil.copy2(library, target / "usr/local/lib")
        linked = done(["ldd", executable, *(stdlib / "lib-dynload").glob("*.so")]).stdout
        _copy({path for path in re.findall(r"=> (/\S+)", linked) if not path.startswith(sys.base_prefix)}, target)
        (target / "usr/local/bin/python3").symlink_to(PYTHON)
    done(["/sbin/ldconfig", "-r", target])  # no part of every PATH
    return target


def _copy(paths: Iterable[str], target: Path) -> None:
    """These files, and the files behind them where they are links."""
    every = {*paths, *(os.path.realpath(path) for path in paths)}
    pack = subprocess.Popen(["tar", "--create", "--no-recursion", "--files-from=-"], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd="/", text=False)  # fmt: skip
    unpack = subprocess.Popen(
        ["tar", "--extract", "--keep-directory-symlink", "--directory", target], stdin=pack.stdout
    )
    assert pack.stdin is not None
    pack.stdin.write("".join(f".{path}\n" for path in sorted(every)).encode())
    pack.stdin.close()
    assert unpack.wait() == 0
    pack.wait()


# ---- what lies in Python's folder


def needed_by(*names: str) -> dict[str, Distribution]:
    """Installed distributions that these need, themselves included."""
    from packaging.requirements import Requirement  # of the tests, not of gpuprof

    found: dict[str, Distribution] = {}
    seen = set()
    todo = [(name, "") for name in names]
    while todo:
        name, extra = todo.pop()
        name = re.sub(r"[-_.]+", "-", name).lower()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            continue  # for another platform
        for want in map(Requirement, found[name].requires or ()):
            if want.marker is None or want.marker.evaluate({"extra": extra}):
                todo += [(want.name, wanted) for wanted in ("", *want.extras)]
    return found


def link(distributions: Iterable[Distribution], site: Path) -> None:
    """Links in `site` to these distributions, as they lie in the folder that is mounted at SITE."""
    site.mkdir(parents=True, exist_ok=True)
    for one in distributions:
        for top in {file.parts[0] for file in one.files or ()} - {"..", "__pycache__"}:
            if not (site / top).is_symlink():
                (site / top).symlink_to(f"{SITE}/{top}")


def copy(one: Distribution, site: Path) -> None:
    for top in {file.parts[0] for file in one.files or ()} - {"..", "__pycache__"}:
        source = Path(str(one.locate_file(top)))
        (shutil.copytree if source.is_dir() else shutil.copy2)(source, site / top)


def wheel(folder: Path, name: str, version: str, *, files: dict[str, str] | None = None, needs: str = "") -> Path:
    """A wheel of pure Python; `files` are laid beside its package, also where other distributions lie."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    if needs:
        metadata += f"Requires-Dist: {needs}\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}/__init__.py", f"__version__ = {version!r}\n")
        for place, text in (files or {}).items():
            archive.writestr(f"{name}-{version}.data/purelib/{place}", text)
        info = f"{name}-{version}.dist-info"
        archive.writestr(f"{info}/METADATA", metadata)
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        rows = [name for name in archive.namelist() if not name.endswith("RECORD")]
        archive.writestr(f"{info}/RECORD", "".join(f"{row},,\n" for row in [*rows, f"{info}/RECORD"]))
    return path


def unpack(archive: Path, site: Path) -> None:
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(site)


# ---- a device as the container device interface tells it


def specify(kind: str, nodes: Sequence[str], mounts: dict[str, Path], variables: dict[str, str], **rights: int) -> Path:
    """A CDI specification of one device named "standin", whose device files lead nowhere. The caller removes it.

    `rights` are fileMode, uid and gid of the device files; without, they belong to the user of the container.
    """
    edits = {
        "deviceNodes": [{"path": node, "hostPath": "/dev/null", "permissions": "rw", **rights} for node in nodes],
        "mounts": [
            {"hostPath": str(source), "containerPath": place, "options": ["ro", "nosuid", "nodev", "bind"]}
            for place, source in mounts.items()
        ],
        "env": [f"{key}={value}" for key, value in variables.items()],
    }
    path = Path("/var/run/cdi", f"gpuprof-{os.getpid()}-{kind.partition('.')[0]}.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    # podman 4.3 knows no later version.
    path.write_text(
        json.dumps({"cdiVersion": "0.5.0", "kind": kind, "devices": [{"name": "standin", "containerEdits": edits}]})
    )
    return path
