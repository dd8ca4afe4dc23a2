"""What is read of a machine's files."""

from __future__ import annotations

import subprocess

import pytest

from gpuprof import doctor
from gpuprof.doctor.facts import NOT_ASKED, Card


def test_cards_and_device_files_are_read_from_the_system(tmp_path):
    bus = {
        "0000:0c:00.0": ("0x1002", "0x120000", "0x74a1"), "0000:01:00.0": ("0x10de", "0x030200", "0x2330"),
        "0000:01:00.1": ("0x10de", "0x040300", "0x10f0"), "0000:00:02.0": ("0x8086", "0x030000", "0x9a49"),
    }  # fmt: skip
    for name, words in bus.items():
        place = tmp_path / "sys/bus/pci/devices" / name
        place.mkdir(parents=True)
        for file, word in zip(("vendor", "class", "device"), words, strict=True):
            (place / file).write_text(f"{word}\n")
    (tmp_path / "sys/bus/pci/drivers/amdgpu").mkdir(parents=True)
    (tmp_path / "sys/bus/pci/devices/0000:0c:00.0/driver").symlink_to("../../drivers/amdgpu")
    (tmp_path / "dev/dri").mkdir(parents=True)
    for name in ("kfd", "dri/renderD128", "dri/card0", "nvidiactl"):
        (tmp_path / "dev" / name).touch()
    (tmp_path / "proc/sys/kernel").mkdir(parents=True)
    (tmp_path / "proc/sys/kernel/osrelease").write_text("6.6.0-microsoft-standard-WSL2\n")
    facts = doctor.gather(True, tmp_path)
    assert facts.cards == (
        Card("nvidia", "0000:01:00.0", "0x2330", None), Card("amd", "0000:0c:00.0", "0x74a1", "amdgpu"),
    )  # fmt: skip
    assert [node.path for node in facts.nodes] == ["/dev/nvidiactl", "/dev/dri/renderD128", "/dev/kfd"]
    assert all(node.writable and node.gid == (tmp_path / "dev/kfd").stat().st_gid for node in facts.nodes)
    assert facts.wsl
    assert facts.torch == NOT_ASKED
    assert "torch" in facts.packages


@pytest.mark.parametrize(
    ("cache", "variables", "lacks"),
    [
        ("\tlibcuda.so.1 (libc6,x86-64) => /lib/libcuda.so.1", {}, False),
        ("\tlibc.so.6 (libc6,x86-64) => /lib/libc.so.6", {}, True),
        ("", {"LD_LIBRARY_PATH": "/nowhere:{folder}"}, False),
        ("", {"LD_LIBRARY_PATH": "/nowhere"}, True),
        ("", {"TRITON_LIBCUDA_PATH": "/anywhere"}, False),
    ],
)
def test_triton_looks_for_the_drivers_library_in_the_linkers_cache(tmp_path, monkeypatch, cache, variables, lacks):
    def listing(command, **options):
        return subprocess.CompletedProcess(command, 0, cache, "")

    monkeypatch.setattr(subprocess, "run", listing)
    for name in ("LD_LIBRARY_PATH", "TRITON_LIBCUDA_PATH"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(folder=tmp_path))
    (tmp_path / "libcuda.so.1").touch()
    assert "libcuda.so.1" not in doctor.gather(True, tmp_path).compile_lacks  # a machine without NVIDIA's driver
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/nvidiactl").touch()
    assert ("libcuda.so.1" in doctor.gather(True, tmp_path).compile_lacks) is lacks
