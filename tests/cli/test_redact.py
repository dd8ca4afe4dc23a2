"""--redact: what is sent to a vendor says nothing of who and where, and all numbers and verdicts are as they were."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from gpuprof.record.redaction import Redaction, without_comments
from gpuprof.store import runs as store
from support import rivals
from support.running import gpuprof

pytestmark = pytest.mark.slow
SECRETS = (
    "gaston-node17",
    "bertrand-node3",
    "GPU-aaaa-1111",
    "GPU-bbbb-2222",
    "7654321",
    "/home/gaston",
    "confidential",
)


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A store of two runs, whose records name hosts, cards, a job, a home and a secret in a comment."""
    place = tmp_path_factory.mktemp("redact") / "s"
    rates = {"cnn": (100, 101.5, 99.5, 100.2)}
    for number, (host, card, factor) in enumerate((("gaston-node17", "GPU-aaaa-1111", 1.0),
                                                   ("bertrand-node3", "GPU-bbbb-2222", 1.4))):  # fmt: skip
        scaled = {name: [factor * rate for rate in each] for name, each in rates.items()}
        run = rivals.run(place, number, scaled, device=("H100", "MI300X")[number], card=card)
        data = store.read(run).model_dump(mode="json", by_alias=True)
        data["environment"]["hostname"] = host
        data["environment"]["variables"] = {"SLURM_JOB_ID": "7654321", "LD_PRELOAD": "/home/gaston/lib/x.so"}
        data["config"] |= {
            "file": "/home/gaston/nets/cnn.yaml",
            "text": "workload: cnn  # confidential\n# of bertrand\n",
        }
        data["warnings"] = [f"{host} was busy: /home/gaston/log"]
        (run / "record.json").write_text(json.dumps(data))
    return place


def clean(text: str) -> list[str]:
    return [secret for secret in SECRETS if secret in text]


@pytest.mark.parametrize("form", ["text", "md", "html", "json"])
def test_no_form_of_a_comparison_names_anybody(place, form, tmp_path):
    arguments = ("compare", "device=H100", "device=MI300X", "--store", place)
    out = tmp_path / f"x.{form if form != 'text' else 'txt'}"
    assert gpuprof(*arguments, "-o", out).code == 0
    assert clean(out.read_text())
    assert gpuprof(*arguments, "--redact", "-o", out).code == 0
    assert clean(out.read_text()) == []
    assert "host-1" in out.read_text()
    assert "host-2" in out.read_text()


def test_numbers_and_verdicts_are_as_they_were(place):
    arguments = ("compare", "device=H100", "device=MI300X", "--store", place, "--json")
    plain, hidden = gpuprof(*arguments).json, gpuprof(*arguments, "--redact").json
    for key in ("overall", "claims", "headline", "cases", "coverage"):
        assert hidden[key] == plain[key]
    assert [entry["weight"] for entry in hidden["ledger"]] == [entry["weight"] for entry in plain["ledger"]]


def test_no_report_names_anybody(place, tmp_path):
    for name in ("r.html", "r.md", "r.json"):
        assert gpuprof("report", "--store", place, "--redact", "-o", tmp_path / name).code == 0
        assert clean((tmp_path / name).read_text()) == []


@pytest.mark.parametrize("form", ["csv", "openmetrics", "bencher", "github-benchmark", "chrome-trace"])
def test_no_export_names_anybody(place, form):
    done = gpuprof("export", place, "--format", form, "--redact")
    assert done.code == 0, done.err
    assert clean(done.out) == []
    plain = gpuprof("export", place, "--format", form)
    numbers = re.compile(r"\d+\.\d+")
    assert numbers.findall(done.out) == numbers.findall(plain.out)


def test_a_name_has_one_pseudonym_throughout():
    hide = Redaction(hosts=["alpha", "beta", "alpha"], places=["/srv/alpha/store"])
    assert hide.text("alpha beta alphabet /srv/alpha/store/x /home/me/y") == "host-1 host-2 alphabet store-1/x ~/y"
    assert hide.of({"alpha": ["beta", 3, ("alpha",)]}) == {"host-1": ["host-2", 3, ("host-1",)]}


def test_comments_are_left_out():
    assert without_comments("a: 1  # why\n# all of it\nb: 'x#y'\n") == "a: 1\nb: 'x#y'\n"
