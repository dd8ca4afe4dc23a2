"""Rendered schedules: each is read back by what will read it, with paths and arguments nobody should have."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gpuprof.engines import FORMS
from gpuprof.engines.schedule import Schedule
from gpuprof.errors import UsageError
from support.running import ROOT, gpuprof

# Spaces, quotes, specifiers and variables of systemd, a shell's and GitHub's, and what a YAML scalar might become.
HOSTILE = ("a b", "100%", "%h", "$HOME", "${x}", "it's", 'say "so"', "a;b", ";", "#", "&& true", "- x: y",
           "${{ env.X }}", "é", "`id`", "*", "~", "", "--")  # fmt: skip
ARGUMENTS = [word for word in HOSTILE if word]


def plan(*words: str, **more) -> Schedule:
    return Schedule(("/bin/true", *words), **more)


def test_units_pass_systemd(tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    program = tmp_path / "its 100% a $HOME %h é" / "run me"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    units = FORMS["systemd"](Schedule((str(program), *ARGUMENTS, "back\\slash\\")))
    for name, text in units.items():
        (tmp_path / name).write_text(text)
    done = subprocess.run(["systemd-analyze", "verify", *(str(tmp_path / name) for name in units)],
                          capture_output=True, text=True, check=False, timeout=60)  # fmt: skip
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    with pytest.raises(UsageError, match="no quotes or backslashes"):
        FORMS["systemd"](Schedule(("/opt/it's/python",)))
    # It does look: a unit whose program is not there fails.
    broken = units["gpuprof-nightly.service"].replace("run me", "run you")
    (tmp_path / "gpuprof-nightly.service").write_text(broken)
    checked = subprocess.run(["systemd-analyze", "verify", str(tmp_path / "gpuprof-nightly.service")],
                             capture_output=True, text=True, check=False, timeout=60)  # fmt: skip
    assert "run you" in checked.stderr


def unquoted(text: str) -> str:
    """A word as systemd reads it: C escapes in double quotes, then specifiers."""
    assert text[0] == text[-1] == '"'
    inner = re.sub(r"\\(.)", r"\1", text[1:-1])
    assert not re.search(r"(?<!%)%(?:%%)*(?!%)", inner)
    return inner.replace("%%", "%")


def test_the_service_has_each_argument_as_it_was():
    text = FORMS["systemd"](plan(*ARGUMENTS, "back\\slash\\"))["gpuprof-nightly.service"]
    (line,) = [line for line in text.splitlines() if line.startswith("ExecStart=:")]
    words = re.findall(r'"(?:[^"\\]|\\.)*"', line.removeprefix("ExecStart=:"))
    assert [unquoted(word) for word in words] == ["/bin/true", *ARGUMENTS, "back\\slash\\"]
    # A night takes as long as its configurations do, and whoever stops it leaves the run to `gpuprof nightly`.
    for setting in ("Type=oneshot", "TimeoutStartSec=infinity", "KillMode=mixed", "TimeoutStopSec=120"):
        assert f"\n{setting}\n" in text
    timer = FORMS["systemd"](plan(at="23:05"))["gpuprof-nightly.timer"]
    for setting in ("OnCalendar=*-*-* 23:05:00", "Persistent=true", "RandomizedDelaySec="):
        assert setting in timer


def test_the_cron_line_runs_what_was_asked_for():
    text = FORMS["cron"](plan(*ARGUMENTS, at="03:40"))["gpuprof-nightly.cron"]
    assert text.count("\n") == 1
    minute, hour, day, month, weekday, command = text.rstrip("\n").split(" ", 5)
    assert (minute, hour, day, month, weekday) == ("40", "3", "*", "*", "*")
    assert not re.search(r"(?<!\\)%", command)  # cron would end the line there
    handed = command.replace("\\%", "%")  # what cron hands to the shell
    assert shlex.split(handed) == ["/bin/true", *ARGUMENTS]
    echoed = subprocess.run(["/bin/sh", "-c", handed.replace("/bin/true", "printf '%s\\n'", 1)], capture_output=True,
                            text=True, check=True)  # fmt: skip
    assert echoed.stdout.splitlines() == ARGUMENTS
    with pytest.raises(UsageError, match="disagree on backslashes"):
        FORMS["cron"](plan("a\\b"))


def test_a_line_longer_than_cron_reads_is_refused():
    """In bytes, and as written: with what is quoted and escaped."""
    room = 998 - len("/bin/true ")
    for word, bytes_each in (("a", 1), ("é", 2), ("%", 2)):
        quotes = 0 if word != "é" else 2  # shlex quotes what is not ASCII
        fits = (room - quotes) // bytes_each
        line = FORMS["cron"](plan(word * fits))["gpuprof-nightly.cron"].rstrip("\n")
        assert 996 < len(line.split(" ", 5)[5].encode()) <= 998
        with pytest.raises(UsageError, match=r"cron takes 998: put it into a script"):
            FORMS["cron"](plan(word * (fits + 1)))


def test_the_workflow_is_yaml_with_pinned_actions():
    text = FORMS["github"](plan(*ARGUMENTS, reports="/srv/a b: ${{ secrets.X }} #"))["gpuprof-nightly.yml"]
    found = yaml.safe_load(text)
    assert found["on"]["schedule"] == [{"cron": "17 2 * * *"}]
    assert found["permissions"] == {"contents": "read"}
    job = found["jobs"]["nightly"]
    assert job["strategy"]["matrix"]["gpu"] == ["cuda", "rocm"]
    assert job["runs-on"] == ["self-hosted", "${{ matrix.gpu }}"]
    checkout, run, upload = job["steps"]
    for step in (checkout, upload):
        assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", step["uses"])
    assert upload["if"] == "always()"
    for value in (run["run"], upload["with"]["path"]):
        assert set(re.findall(r"\$\{\{.*?\}\}", value)) == {"${{ '${{' }}"}  # no expression but the one that writes it
    written = run["run"].replace("${{ '${{' }}", "${{")
    assert shlex.split(written) == ["/bin/true", *ARGUMENTS]


@given(st.lists(st.text() | st.text("${} '\"\\") | st.sampled_from([*HOSTILE, "🚀", "\ufeff"]), max_size=4))
def test_the_workflow_hands_on_each_argument(words):
    try:
        asked = plan(*words)
    except UsageError:
        return
    step = yaml.safe_load(FORMS["github"](asked)["gpuprof-nightly.yml"])["jobs"]["nightly"]["steps"][1]
    assert shlex.split(step["run"].replace("${{ '${{' }}", "${{")) == ["/bin/true", *words]


@pytest.mark.parametrize("form", FORMS)
def test_control_characters_are_refused(form):
    for bad in ("a\nb", "\x00", "\x1b[2J", "\x85", "\u2028", "\udc80", "\ufdd0", "\ufffe", "\U0001ffff"):
        with pytest.raises(UsageError, match="control character"):
            FORMS[form](plan(bad))


@pytest.mark.parametrize("at", ["2:17", "24:00", "02:60", "02:17:00", "noon", "02:17\n"])
def test_times_of_day(at):
    with pytest.raises(UsageError, match="HH:MM"):
        plan(at=at)


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
        assert "--store has to be an absolute path on the runners" in done.err


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
    assert (done.code, "have no place beside it" in done.err) == (2, True)
    done = gpuprof("schedule", "render", "systemd", tmp_path / "nosuch.yaml")
    assert done.code == 2
    assert "no such file, and the schedule would fail every night" in done.err


def test_nothing_to_run_is_told(tmp_path):
    done = gpuprof("schedule", "render", "cron", cwd=tmp_path)
    assert done.code == 2
    assert "no configs/reference.yaml here" in done.err
    assert not list(Path(tmp_path).iterdir())
