"""GitHub's workflow is YAML, and hands on each argument as it was."""

from __future__ import annotations

import re
import shlex

import yaml
from hypothesis import given
from hypothesis import strategies as st

from gpuprof.engines import FORMS
from gpuprof.errors import UsageError
from support.schedules import ARGUMENTS, HOSTILE, plan


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
