"""A network that is a file more among the others goes the whole way: plan, worker, record, card, index, selector."""

from __future__ import annotations

import json
import re

import pytest

from support.running import SHORT, gpuprof
from support.toys import package_with_toys

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The command line of a package that has the toys, beside their configurations."""
    place = tmp_path_factory.mktemp("toys")
    env = package_with_toys(place)
    (place / "gan.yaml").write_text("workload: toygan\n")
    (place / "chat.yaml").write_text("workload: toychat\nbatch_size: 4\n")

    def command(*arguments):
        return gpuprof(*arguments, cwd=place, env=env)

    return command


@pytest.fixture(scope="module")
def records(installed):
    done = installed("run", "gan.yaml", "chat.yaml", *SHORT, "--set", "repeats=1", "--store", "store", "--json")
    assert done.code == 0, done.err
    return {record["cases"][0]["workload"]: record for record in done.json}


def test_a_plan_is_made(installed):
    done = installed("run", "gan.yaml", "chat.yaml", "--dry-run", "--json")
    assert [plan["cases"][0]["case_id"] for plan in done.json] == [
        "toygan-train-ieee-b32-eager", "toychat-train-ieee-b4-t12-eager",
    ]  # fmt: skip


def test_it_is_trained_checked_and_counted(records):
    gan, chat = (records[name]["cases"][0] for name in ("toygan", "toychat"))
    for case in (gan, chat):
        assert case["outcome"] == "ok"
        assert case["correctness"]["verdict"] == "pass"
        assert case["throughput_per_s"]["value"] > 0
        assert case["flops"]["counted_on"] == "closed form, equal on the meta device"
        assert not [warning for warning in case["warnings"] if "FLOPs" in warning or "finite" in warning]
    assert len(gan["correctness"]["loss_curve"]) == 40
    assert (gan["item"], gan["items_per_sample"]) == ("sample", 1)
    assert (chat["item"], chat["items_per_sample"], chat["seq_len"]) == ("token", 15, 12)


def test_it_is_shown_with_its_items(installed, records):
    assert "tokens" not in installed("show", records["toygan"]["run_id"], "--store", "store").out
    text = installed("show", records["toychat"]["run_id"], "--store", "store").out
    assert re.search(r"throughput +[\d,]+\.?\d* samples/s.* = [\d,]+ tokens/s", " ".join(text.split()))


def test_it_is_found(installed, records):
    told = installed("report", "workload=toygan", "--store", "store", "--json")
    assert told.code == 0, told.err
    assert records["toygan"]["run_id"] in told.out
    assert records["toychat"]["run_id"] not in told.out
    assert json.loads(installed("store", "index", "--store", "store", "--json").out)["runs"] == 2
