"""axe-core, which finds what keeps people from using a page: from npm, by version and hash, kept in a cache."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

VERSION = "4.14.1"
HASH = "e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745"  # of the package's archive


def source() -> str:
    """Its script. Raises RuntimeError with npm's words where there is no way to get it."""
    with tarfile.open(_cached()) as archive:
        script = archive.extractfile("package/axe.min.js")
        assert script is not None
        return script.read().decode()


def _cached() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gpuprof-tests"
    file = cache / f"axe-core-{VERSION}.tgz"
    if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != HASH:
        npm = shutil.which("npm")
        if npm is None:
            raise RuntimeError("the tests need axe-core, and npm to get it")
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            done = subprocess.run([npm, "pack", "--silent", f"axe-core@{VERSION}"], cwd=folder, capture_output=True,
                                  text=True, check=False)  # fmt: skip
            found = next(Path(folder).glob("*.tgz"), None)
            if done.returncode or found is None:
                raise RuntimeError(f"the tests need axe-core {VERSION}:\n{done.stderr}")
            if hashlib.sha256(found.read_bytes()).hexdigest() != HASH:
                raise RuntimeError(f"axe-core {VERSION} is not what it was")
            found.rename(file)
    return file
