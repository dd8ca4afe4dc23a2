"""The list of packages that images hold is CycloneDX, complete, and the same each time."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import metadata

from support.running import ROOT


def made() -> str:
    return subprocess.run(
        [sys.executable, ROOT / "scripts" / "sbom.py"], capture_output=True, text=True, check=True
    ).stdout


def test_every_package_is_in_it_once_with_its_version():
    found = json.loads(made())
    assert (found["bomFormat"], found["specVersion"]) == ("CycloneDX", "1.5")
    versions = {part["name"]: part["version"] for part in found["components"]}
    assert len(versions) == len(found["components"])
    for name in ("torch", "pydantic", "click", "nvidia-ml-py", "gpuprof-dl"):
        assert versions[name] == metadata.version(name)
    assert all(part["purl"] == f"pkg:pypi/{part['name']}@{part['version']}" for part in found["components"])
    licences = {part["name"]: part.get("licenses") for part in found["components"]}
    assert licences["click"], "a package that states its licence"


def test_it_is_the_same_each_time():
    assert made() == made()
