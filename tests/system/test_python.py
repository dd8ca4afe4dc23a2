"""gpuprof starts its own code, whatever lies in the working directory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gpuprof.system.python import own, program
from support.running import CONFIGS, ROOT, gpuprof, variables


@pytest.fixture
def trap(tmp_path):
    """A directory with files that would be imported from it."""
    for name in ("gpuprof.py", "torch.py", "click.py", "yaml.py"):
        (tmp_path / name).write_text("raise SystemExit('imported from the working directory')\n")
    return tmp_path


@pytest.mark.parametrize("command", [own("gpuprof.cli"), program()])
def test_nothing_is_imported_from_the_working_directory(command, trap):
    clean = {name: value for name, value in variables().items() if name != "PYTHONPATH"}
    done = subprocess.run([*command, "--version"], cwd=trap, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("gpuprof")


@pytest.mark.slow
def test_a_night_measures_with_its_own_code(trap):
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); sys.argv[0] = 'gpuprof'; from gpuprof.cli import main; main()"
    )
    arguments = ["nightly", CONFIGS / "rnn.yaml", "--quick", "--device", "cpu", "--set", "repeats=1",
                 "--set", "threads=1", "--set", "seq_len=10", "--store", trap / "store"]  # fmt: skip
    done = subprocess.run([sys.executable, "-I", "-c", code, *map(str, arguments)], cwd=trap, text=True,
                          capture_output=True, check=False)  # fmt: skip
    assert "working directory" not in done.stdout + done.stderr
    assert len(list((trap / "store").glob("2*/record.json"))) == 1, done.stdout + done.stderr


@pytest.mark.parametrize("form", ["cron", "systemd"])
def test_schedules_name_a_program_and_no_module(form):
    done = gpuprof("schedule", "render", form, CONFIGS / "rnn.yaml")
    assert done.code == 0, done.err
    assert "-m gpuprof" not in done.out.replace('"', "")
    assert str(Path(sys.executable).with_name("gpuprof")) in done.out
