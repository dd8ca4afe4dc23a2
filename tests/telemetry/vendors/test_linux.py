"""The CPU's sensors, over a root of files."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from gpuprof.telemetry import device, quantities
from gpuprof.telemetry.device import NoReading
from gpuprof.telemetry.vendors import linux as host

# ---- the CPU, over a root of files


def put(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def rapl(root: Path, index: int, name: str, energy_uj: int, range_uj: int | str = 262_143_328_850) -> Path:
    zone = f"sys/class/powercap/intel-rapl:{index}"
    return put(root, **{
        f"{zone}/name": f"{name}\n", f"{zone}/energy_uj": f"{energy_uj}\n",
        f"{zone}/max_energy_range_uj": f"{range_uj}\n", f"{zone}/constraint_0_power_limit_uw": "280000000\n",
    })  # fmt: skip


def cpu(root: Path) -> device.Device:
    (found,) = host.open_backend(root).devices
    return found


def test_cpu_packages_are_summed_and_their_parts_are_not(tmp_path):
    rapl(tmp_path, 0, "package-0", 1_500_000)
    rapl(tmp_path, 1, "package-1", 2_250_000)
    rapl(tmp_path, 2, "psys", 99_000_000)  # the whole board, packages included
    put(tmp_path, **{"sys/class/powercap/intel-rapl:0:0/name": "core\n",
                     "sys/class/powercap/intel-rapl:0:0/energy_uj": "1000000\n",
                     "sys/class/powercap/intel-rapl-mmio:0/name": "package-0\n",  # the same counter by another way
                     "sys/class/powercap/intel-rapl-mmio:0/energy_uj": "1500000\n"})  # fmt: skip
    found = cpu(tmp_path)
    assert found.energy_j() == pytest.approx(3.75)
    assert found.signals()["energy_j"] == pytest.approx(3.75)
    assert found.facts()["power_limit_w"].value == pytest.approx(560)
    assert found.signals()["power_instant_w"] == NoReading("RAPL reports energy, not power", "unsupported")


def test_each_cpu_counter_wraps_at_a_range_of_its_own(tmp_path):
    rapl(tmp_path, 0, "package-0", 9_000_000, range_uj=10_000_000)
    rapl(tmp_path, 1, "package-1", 19_000_000, range_uj=20_000_000)
    found = cpu(tmp_path)
    joules = [found.energy_j()]
    for first, second in ((500_000, 19_500_000), (1_000_000, 250_000), (9_000_000, 300_000), (100_000, 400_000)):
        rapl(tmp_path, 0, "package-0", first, range_uj=10_000_000)
        rapl(tmp_path, 1, "package-1", second, range_uj=20_000_000)
        joules.append(found.energy_j())
    assert [b - a for a, b in itertools.pairwise(joules)] == pytest.approx(
        [1.5 + 0.5, 0.5 + 0.75, 8.0 + 0.05, 1.1 + 0.1]
    )


class Locked(type(Path())):
    """A path whose energy counters are for root alone, whoever runs the tests."""

    def read_text(self, *arguments, **options):
        if self.name == "energy_uj":
            raise PermissionError(13, "Permission denied", str(self))
        return super().read_text(*arguments, **options)


def test_cpu_counter_for_root_alone(tmp_path):
    rapl(tmp_path, 0, "package-0", 1_500_000)
    found = cpu(Locked(tmp_path)).signals()["energy_j"]
    assert found.status == "no_permission" and "intel-rapl:0/energy_uj" in found.reason and "chmod" in found.reason


def test_one_cpu_package_that_cannot_be_read_makes_no_half_sum(tmp_path):
    rapl(tmp_path, 0, "package-0", 1_500_000)
    rapl(tmp_path, 1, "package-1", 2_500_000)
    broken = tmp_path / "sys/class/powercap/intel-rapl:1/energy_uj"
    broken.unlink()
    broken.mkdir()  # what reads as an error for root as well
    assert cpu(tmp_path).energy_j().status == "unsupported"


@pytest.mark.parametrize(("driver", "labels", "wanted"), [
    ("k10temp", {"temp1": ("Tctl", "61250"), "temp3": ("Tccd1", "70000")}, 61.25),
    ("coretemp", {"temp1": ("Package id 0", "55000"), "temp2": ("Core 0", "51000")}, 55),
    ("coretemp", {"temp2": ("Core 0", "51000"), "temp9": ("Package id 0", "57000")}, 57),
    ("zenpower", {"temp1": ("Tdie", "48500")}, 48.5),
    ("cpu_thermal", {"temp1": (None, "42000")}, 42),
])  # fmt: skip
def test_cpu_thermometers(tmp_path, driver, labels, wanted):
    chip = "sys/class/hwmon/hwmon1"
    put(tmp_path, **{"sys/class/hwmon/hwmon0/name": "nvme\n", "sys/class/hwmon/hwmon0/temp1_input": "33000\n",
                     f"{chip}/name": f"{driver}\n"})  # fmt: skip
    for name, (label, value) in labels.items():
        put(tmp_path, **{f"{chip}/{name}_input": value} | ({f"{chip}/{name}_label": label} if label else {}))
    assert cpu(tmp_path).signals()["temperature_core_c"] == pytest.approx(wanted)


def test_cpu_utilisation_is_of_the_time_between_two_looks(tmp_path):
    put(tmp_path, **{"proc/stat": "cpu  100 0 50 800 50 0 0 0 0 0\ncpu0 1 2 3\n"})
    found = cpu(tmp_path)
    assert found.signals()["cpu_utilization_pct"].status == "transient"
    put(tmp_path, **{"proc/stat": "cpu  190 0 60 850 100 0 0 0 0 0\ncpu0 1 2 3\n"})
    assert found.signals()["cpu_utilization_pct"] == pytest.approx(50)  # 100 of 200; waiting for a disk is idle
    assert found.signals()["cpu_utilization_pct"].status == "transient"  # no time has passed


def test_cpu_memory(tmp_path):
    put(tmp_path, **{"proc/meminfo": "MemTotal:       1000 kB\nMemFree: 100 kB\nMemAvailable:    400 kB\n"})
    facts = cpu(tmp_path).facts()
    assert (facts["memory_total_bytes"].value, facts["memory_used_bytes"].value) == (1_024_000, 614_400)


def test_cpu_of_which_nothing_is_known(tmp_path):
    found = cpu(tmp_path)
    facts, signals = found.facts(), found.signals()
    assert set(facts) == set(quantities.keys(quantities.FACTS, "cpu"))
    assert set(signals) == set(quantities.keys(quantities.SIGNALS, "cpu"))
    assert all(reading.value is None and reading.reason for reading in facts.values())
    assert all(isinstance(value, NoReading) and value.reason for value in signals.values())
    assert "virtual machines" in signals["energy_j"].reason


@pytest.mark.parametrize("text", [
    "", "\n", "words\n", "-\n", "9" * 400, "\xff\xfe", "cpu a b c d e f g h\n", "MemTotal:\n",
    "MemTotal: many kB\nMemAvailable:\n",
])  # fmt: skip
def test_malformed_files_of_the_kernel_are_reasons(tmp_path, text):
    zone, chip = "sys/class/powercap/intel-rapl:0", "sys/class/hwmon/hwmon0"
    rapl(tmp_path, 0, "package-0", 1)
    put(tmp_path, **{f"{chip}/name": "k10temp\n", "proc/stat": "", "proc/meminfo": ""})
    for name in ("proc/stat", "proc/meminfo", f"{zone}/energy_uj", f"{zone}/max_energy_range_uj",
                 f"{zone}/constraint_0_power_limit_uw", f"{chip}/temp1_input"):  # fmt: skip
        (tmp_path / name).write_bytes(text.encode("latin-1"))
    found = cpu(tmp_path)
    for _ in range(2):
        assert all(isinstance(value, NoReading) and value.reason for value in found.signals().values())
        assert all(reading.value is None and reading.reason for reading in found.facts().values())
