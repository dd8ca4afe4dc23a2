"""`gpuprof schedule render` from outside."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from support.running import ROOT, gpuprof


def test_the_command(tmp_path):
    done = gpuprof("schedule", "render", "systemd", "--store", tmp_path / "s", "-o", tmp_path / "units")
    assert done.code == 0
    service = (tmp_path / "units" / "gpuprof-nightly.service").read_text()
    assert f'"nightly" "--store" "{tmp_path / "s"}" "--" "' in service
    assert 'configs/reference.yaml"' in service
    assert sorted(p.name for p in (tmp_path / "units").iterdir()) == [
        "gpuprof-nightly.service", "gpuprof-nightly.timer",
    ]  # fmt: skip
    line = gpuprof("schedule", "render", "cron", "--command", "/opt/x/scripts/compare_nightly 'a b.yaml'")
    assert line.out == "17 2 * * * /opt/x/scripts/compare_nightly 'a b.yaml'\n"
    workflow = yaml.safe_load(gpuprof("schedule", "render", "github", "--store", "/srv/x", "configs/lstm.yaml").out)
    _, run, upload = workflow["jobs"]["nightly"]["steps"]
    assert run["run"] == "gpuprof nightly --store /srv/x -- configs/lstm.yaml"
    assert upload["with"]["path"] == "/srv/x/nightly"
    assert gpuprof("schedule", "render", "github", "--command", "/opt/night").code == 0  # has no store


def test_a_workflow_holds_no_path_of_the_machine_that_writes_it(tmp_path):
    """Neither of the default store, nor of a relative one, nor of this user's variable."""
    for arguments, variables in (([], {}), (["--store", "results"], {}), ([], {"GPUPROF_STORE": str(tmp_path)})):
        done = gpuprof("schedule", "render", "github", *arguments, env=variables)
        assert (done.code, done.out) == (2, "")
        assert "--store must be an absolute path on the runners" in done.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cron", "--command", "compare_nightly x"], "absolute path"),
        (["cron", "--command", "'"], "No closing quotation"),
        (["windows"], "systemd"),
        (["cron", "--at", "9"], "HH:MM"),
    ],
)
def test_wrong_usage_is_told(arguments, message):
    done = gpuprof("schedule", "render", *arguments)
    assert done.code == 2
    assert message in done.err


def test_options_of_the_night_and_what_is_not_there(tmp_path):
    done = gpuprof("schedule", "render", "cron", "configs/lstm.yaml", "--with", "--device gpu:1 --set 'a=b c'")
    assert f"--device gpu:1 --set 'a=b c' -- {ROOT / 'configs/lstm.yaml'}" in done.out
    done = gpuprof("schedule", "render", "cron", "configs/lstm.yaml", "--with", "'")
    assert (done.code, "--with" in done.err) == (2, True)
    done = gpuprof("schedule", "render", "cron", "configs/lstm.yaml", "--with", "--leest 0.5")
    assert (done.code, "--leest" in done.err) == (2, True)
    done = gpuprof("schedule", "render", "cron", "configs/lstm.yaml", "--command", "/bin/true")
    assert (done.code, "--command replaces gpuprof nightly" in done.err) == (2, True)
    done = gpuprof("schedule", "render", "systemd", tmp_path / "nosuch.yaml")
    assert done.code == 2
    assert "no such file, and the schedule would fail every night" in done.err


def test_nothing_to_run_is_told(tmp_path):
    done = gpuprof("schedule", "render", "cron", cwd=tmp_path)
    assert done.code == 2
    assert "no configs/reference.yaml here" in done.err
    assert not list(Path(tmp_path).iterdir())
