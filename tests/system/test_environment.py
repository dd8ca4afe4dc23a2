"""What is told of the machine and of gpuprof itself."""

from __future__ import annotations

import subprocess

import pytest

import gpuprof as package
from gpuprof.system import environment

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("revision", "commit"),
    [
        (COMMIT, COMMIT[:12]),
        (f"{COMMIT}+changes", f"{COMMIT[:12]}+changes"),
        ("0123456", "0123456"),
        ("unknown", None),
        ("v1.2-3-gabcdef0", None),
        (f"{COMMIT}\n", None),
        ("", None),
    ],
)
def test_an_image_knows_its_commit(monkeypatch, tmp_path, revision, commit):
    monkeypatch.setattr(package, "__file__", str(tmp_path / "gpuprof/__init__.py"))
    monkeypatch.setenv("GPUPROF_REVISION", revision)
    found = environment.describe()
    assert found["gpuprof_commit"] == commit
    assert ("gpuprof_commit" in found["absent"]) == (commit is None)


def test_a_checkout_knows_better(monkeypatch, tmp_path):
    git = ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x@x"]
    for arguments in (["init", "--quiet"], ["commit", "--quiet", "--allow-empty", "--message=x"]):
        subprocess.run([*git, *arguments], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout
    monkeypatch.setattr(package, "__file__", str(tmp_path / "gpuprof/__init__.py"))
    monkeypatch.setenv("GPUPROF_REVISION", COMMIT)
    assert environment.describe()["gpuprof_commit"] == head[:12]
