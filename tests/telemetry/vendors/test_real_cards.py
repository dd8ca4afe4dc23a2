"""States of real cards, as their owners published them: no wrong value, unit or scope, and no check without a cause.

nvidia-smi's output tells neither the energy counter nor NVML's whole version nor its number of an architecture: those
are made as for other scenarios. Where it has one power reading, its kind is what nvml.h says of the architecture.
"""

from __future__ import annotations

import pytest

from gpuprof.record.repeat import RepeatTelemetry
from gpuprof.record.run import TelemetrySource
from support import simulators
from support.backends import answered_by, check, needs_libraries, promised

CARDS = sorted(f"real/{path.stem}" for path in (simulators.SCENARIOS / "real").glob("*.yaml"))
READ = "say([[readings(g), g.power.scope, g.power.shared_by, [d.vendor for d in gpus]] for g in gpus][0])"


def test_there_are_cards_of_many_generations():
    assert len(CARDS) >= 20


@needs_libraries
@pytest.mark.parametrize("name", CARDS)
def test_a_real_card_is_read_as_it_is(ask, name):
    scenario = simulators.load(name)
    (gpu, *_), says = scenario["gpus"], scenario["promises"]
    found, scope, shared_by, vendors = ask(name, READ)
    assert vendors == [each["vendor"] for each in scenario["gpus"]]
    assert set(found) == answered_by("gpu")
    check(found, promised(gpu, scenario), name)
    assert (scope, shared_by) == (says["scope"], says["shared_by"])


@needs_libraries
@pytest.mark.parametrize("name", CARDS)
def test_a_run_on_a_real_card_has_the_checks_that_it_deserves(watched, name):
    """A window on the card as it was: what it drew, what its bits said and how fast its counters of throttling grew."""
    scenario = simulators.load(name)
    says = scenario["promises"]
    said = watched(*scenario["gpus"], energy_error=None)
    result, source = RepeatTelemetry.model_validate(said["result"]), TelemetrySource.model_validate(said["source"])
    assert [found[: len(asked)] for found, asked in zip(result.checks, says.get("checks", []), strict=False)] == [
        *says.get("checks", [])
    ]
    assert len(result.checks) == len(says.get("checks", [])), result.checks
    assert (source.scope, source.shared_by) == (says["scope"], says["shared_by"])
    assert source.energy_scope == says.get("energy_scope", says["scope"])
    gpu = scenario["gpus"][0]
    grown = [share for share in (gpu["throttle_share"] or {}).values() if share and not gpu["throttle_bits"]]
    assert [*result.throttle_unsampled.values()] == [pytest.approx(share, rel=0.02) for share in grown]
