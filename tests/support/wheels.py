"""Wheels of releases that are not installed: one amdsmi fits one ROCm, and all of them should work.

They come by pip from wherever it gets all else, by name, version and hash, and stay in a cache of this user's.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

# SHA-256 of the file that PyPI serves.
HASHES = {
    ("amdsmi", "6.0.2"): "f9f3ceed288656385e8881332e49557a5c6e2d14a0aace177cbe8e4364f545ef",
    ("amdsmi", "6.1.2"): "1b16db6fadddb4429eff2e8830e32038a86705c1650fa1056b5844eebf417357",
    ("amdsmi", "6.2.4"): "02429befc9f138c3a6bfd0359b44d5f31976804f9818c560f480dab05ac7937a",
    ("amdsmi", "6.3.3"): "b622026e1188deb8dd0fa5f293960528875e168406cf3feec6bcb1a702b2595d",
    ("amdsmi", "6.4.4"): "f7ac841a6919803ab065ca9f60f0d5672bd95df9d00090b107af22648d8f2ef6",
    ("amdsmi", "7.0.2"): "db5aa757f8ed82dfd799c4d39e2828542678dc4e485b0ab7fabe5f398fec5652",
}


def unpacked(package: str, version: str, place: Path) -> Path:
    """`place`, with the wheel's files in it. Raises RuntimeError with pip's words where there is no way to get it."""
    with zipfile.ZipFile(_cached(package, version)) as archive:
        archive.extractall(place)
    return place


def _cached(package: str, version: str) -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gpuprof-tests"
    file = cache / f"{package}-{version}.whl"
    expected = HASHES[package, version]
    if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != expected:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as folder:  # beside the file: other tests may fetch it just now
            asked = Path(folder) / "asked.txt"
            asked.write_text(f"{package}=={version} --hash=sha256:{expected}\n")
            options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes", "--only-binary=:all:"]
            done = subprocess.run(
                [sys.executable, "-m", "pip", "download", *options, "--dest", folder, "--requirement", asked],
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            if done.returncode:
                raise RuntimeError(f"the tests need {package} {version}:\n{done.stderr}")
            next(Path(folder).glob("*.whl")).rename(file)
    return file
