"""The command line from outside: each command in its module, mistakes as one message and an exit code."""

from __future__ import annotations

import importlib
import subprocess

import click
import pytest

from gpuprof import __version__
from gpuprof.cli import app
from gpuprof.cli.help import COMMANDS
from support.running import CONFIGS, ROOT, command, gpuprof, imported_by, variables


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_lives_in_the_module_of_its_whole_name(name):
    module = importlib.import_module(f"gpuprof.cli.{name.replace('-', '_')}")
    assert module.command.name == name
    assert app.group.get_command(click.Context(app.group), name) is module.command


def test_version():
    assert gpuprof("--version").out == f"gpuprof {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", CONFIGS / "vgg16.yaml", "--dry-run"],
        ["run", CONFIGS / "lstm.yaml", "--dry-run", "--json"],
        ["schema"],
    ],
)
def test_the_reading_half_never_imports_torch(arguments):
    assert not imported_by(*arguments) & {"torch", "torchvision", "numpy", "scipy"}


def test_a_dry_run_builds_no_record_of_what_was_measured():
    """Some thirty classes of pydantic, a fifth of its time."""
    imported = imported_by("run", CONFIGS / "lstm.yaml", "--dry-run")
    assert "gpuprof.record.protocol" in imported
    assert not imported & {"gpuprof.record.run", "gpuprof.record.case", "gpuprof.record.repeat", "rich"}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["run"], 2, "Missing argument"),
        (["rnu"], 2, "Did you mean 'run'?"),
        (["frobnicate"], 2, "No such command"),
        (["run", "nowhere.yaml"], 2, "nowhere.yaml: no such file"),
        (["run", "configs/lstm.yml"], 2, "did you mean 'configs/lstm.yaml'?"),
        (["run", "configs/lstm.yaml", "--device", "tpu"], 2, "is not one of auto, cpu, gpu"),
        (["run", "configs/lstm.yaml", "--device", "gpu:x"], 2, "is not one of auto, cpu, gpu"),
        (["run", "configs/lstm.yaml", "--set", "batch=3"], 2, "did you mean 'batch_size'?"),
        (["run", "configs/lstm.yaml", "--store", "/dev/null"], 2, "cannot be used as the store"),
        (["show", "nothing", "--store", "nowhere"], 2, "no run 'nothing' in nowhere"),
        (["show", "README.md"], 2, "no run"),
    ],
)
def test_mistakes_are_one_message_and_an_exit_code(arguments, code, message):
    if "/dev/null" in arguments:
        arguments = [*arguments, "--device", "cpu", "--quick"]
    done = gpuprof(*arguments)
    assert done.code == code
    assert message in done.err
    assert done.out == ""


def test_an_error_under_json_is_one_document():
    done = gpuprof("run", "nowhere.yaml", "--json")
    assert done.code == 2
    assert done.json["error"]["exit_code"] == 2
    assert "no such file" in done.json["error"]["message"]


def test_a_reader_that_goes_away_is_no_traceback():
    shell = subprocess.run(
        ["bash", "-c", f"{' '.join(command('schema'))} | head -1"], cwd=ROOT, env=variables(), capture_output=True,
        text=True, timeout=60, check=False,
    )  # fmt: skip
    assert shell.stdout == "{\n"
    assert shell.stderr == ""
