"""The story of a comparison. SECTIONS is its table of contents; each is a function Comparison -> blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import gpuprof
from gpuprof import units
from gpuprof.analysis.compare import HEADLINE, Claim, Compared, Comparison
from gpuprof.analysis.evidence import CaseEvidence, Evidence
from gpuprof.metrics import BY_KEY, METRICS
from gpuprof.report.charts import pictures
from gpuprof.report.charts.pictures import Timeline
from gpuprof.report.story import Block, Bullets, Cell, Notice, Section, Story, Table, Tone, without_empty
from gpuprof.report.wording import NONE, number, percent, times, times_interval
from gpuprof.text import listed, plural, shortened
from gpuprof.throttling import throttled
from gpuprof.units import show

SIMULATED = "SIMULATED: a vendor simulator stood for {names}. What is said of it was measured on no such hardware."
_WORDS: dict[str | None, Tone] = {"faster": "good", "slower": "bad", "no difference shown": "plain", None: "dim"}
_WEIGHTS: dict[str, Tone] = {"blocks": "bad", "weakens": "warn", "noted": "dim"}
_UNITS = {"process": "processes", "run": "runs", "machine": "machines", "pair of processes": "pairs of processes"}
_MOST_RUNS = 50
_MOST_CASES = 40
_SHORT = 52
_FEW = 3  # cases that are shown in full without being asked


@dataclass(frozen=True)
class _Told:
    """A comparison with the names under which its sides are told of."""

    found: Comparison
    names: tuple[str, str]
    timeline: Timeline


def story(found: Comparison, now: str, timeline: Timeline | None = None) -> Story:
    """`now` is the time of making it (ISO 8601)."""
    told = _Told(found, names(found.baseline, found.candidate), timeline or Timeline())
    sections = [Section(key, title, list(tell(told))) for key, title, tell in SECTIONS]
    overall, (answer, numbers) = found.overall, headline(found, told.names)
    simulated = " and ".join(sorted({s.device for s in (found.baseline, found.candidate) if True in s.simulated}))
    return Story(
        title=f"{told.names[1]} against {told.names[0]}",
        headline=answer,
        detail=numbers,
        tone="warn" if not overall.allowed else _WORDS[overall.verdict],
        banners=[SIMULATED.format(names=simulated)] if simulated else [],
        sections=[section for section in sections if section.blocks],
        made=f"gpuprof {gpuprof.__version__}, {now}, from the records of "
        f"{plural(len(found.baseline.runs), 'run')} and {plural(len(found.candidate.runs), 'run')}",
        facts=[("Baseline", _side_facts(found.baseline)),
               ("Candidate", _side_facts(found.candidate)), ("Inference", _inference(overall))],
    )  # fmt: skip


def names(baseline: Evidence, candidate: Evidence) -> tuple[str, str]:
    """What tells the sides apart, at its shortest: devices, what was asked for, else their roles."""
    marks = [" (simulated)" if True in side.simulated else "" for side in (baseline, candidate)]
    devices = (baseline.device + marks[0], candidate.device + marks[1])
    for one, other in (devices, (baseline.text, candidate.text)):
        if one != other and one and other and max(len(one), len(other)) <= _SHORT:
            return one, other
    return "baseline", "candidate"


def headline(found: Comparison, sides: tuple[str, str]) -> tuple[str, str]:
    """The answer in one sentence, and its numbers."""
    overall, (one, other) = found.overall, sides
    if not overall.allowed or overall.ratio is None:
        return f"No verdict: {overall.reason}.", ""
    scope = f"over {overall.case}" if overall.case[0].isdigit() else f"on {overall.case}"
    numbers = f"{times(overall.ratio)} the throughput {scope}"
    if overall.ci95 is None:
        return f"No verdict: {overall.reason}.", f"{other} showed {numbers}."
    interval = f"95% interval {times_interval(overall.ci95)}"
    if split := _split(found, other):
        return split, f"Over all: {numbers}, {interval}."
    if overall.verdict == "no difference shown":
        low, high = overall.ci95
        room = f"anything from {low - 1:+.0%} to {high - 1:+.0%} remains possible; MDE {percent(overall.mde or 0.0)}"
        return f"No difference shown between {one} and {other}.", f"{numbers}, {interval}: {room}."
    return f"{other} is {overall.verdict} than {one}.", f"{numbers}, {interval}."


def _split(found: Comparison, other: str) -> str:
    """Where cases have verdicts that contradict each other, or the whole: no one word would be true."""
    made = [c for c in found.claims if c.metric == HEADLINE and c.view == "iso-batch"]
    words = {w: [c.case for c in made if c.verdict == w] for w in ("faster", "slower")}
    contradicted = {"faster": "slower", "slower": "faster"}.get(found.overall.verdict or "")
    if all(words.values()) or (contradicted and words[contradicted]):
        said = (f"{word} on {listed(cases)}" for word, cases in words.items() if cases)
        return f"It depends: {other} is {', and '.join(said)}."
    return ""


def _side_facts(side: Evidence) -> str:
    parts = [side.device, "" if side.text == side.device else shortened(side.text), plural(len(side.runs), "run")]
    parts.append(f"on {plural(len(side.machines), 'machine')}")
    if torch := side.facts.get("torch"):
        parts.append("torch " + listed(sorted(torch)))
    if driver := side.facts.get("driver_version"):
        parts.append("driver " + listed(sorted(driver)))
    return " · ".join(part for part in parts if part)


def _inference(claim: Claim) -> str:
    if not claim.unit:
        return "none"
    unit = _UNITS.get(claim.unit, claim.unit)
    counts = (
        f"{claim.units[0]} {unit}"
        if claim.unit == "pair of processes"
        else f"{claim.units[0]} and {claim.units[1]} {unit}"
    )
    spread = f", with {percent(claim.spread)} added for what they cannot show" if claim.spread else ""
    return f"{counts}{spread}"


# ---- verdict


def _verdict(told: _Told) -> Iterable[Block]:
    found, (one, other) = told.found, told.names
    struck = [case for case in found.cases if not case.pair.allowed]
    made = [claim for claim in found.claims if claim.allowed]
    if found.overall.allowed and len([claim for claim in made if claim.metric == HEADLINE]) > 1:
        made = [found.overall, *made]
    rows = [_claim_row(claim) for claim in made]
    if rows:
        yield Table(
            f"Claims: {other} over {one}", ("claim", "measure", "verdict", "ratio", "95% interval", "MDE"), rows
        )
    if struck:
        yield Table(
            "Pairs that may not be compared, and why", ("case", "ratio", "reason"),
            [[Cell(case.title), _struck_ratio(case), Cell("; ".join(case.pair.reasons), "warn")] for case in struck],
        )  # fmt: skip
    yield Notice(_scope(found))


def _claim_row(claim: Claim) -> list[Cell]:
    metric = BY_KEY[claim.metric]
    bar = (claim.ci95[0], claim.ratio, claim.ci95[1]) if claim.ci95 and claim.ratio else None
    word = claim.verdict or f"none: {claim.reason}"
    tone = _WORDS[claim.verdict]
    strong: Tone = "strong" if claim.view == "all workloads" else "plain"
    return [
        Cell("overall: " + claim.case if claim.view == "all workloads" else claim.case, strong),
        Cell(metric.title, note="" if metric.better == "higher" else "lower is better"),
        Cell(word, tone),
        Cell(times(claim.ratio or 0.0), strong, number=True),
        Cell(times_interval(claim.ci95) or NONE, number=True, bar=bar),
        Cell(NONE if claim.mde is None else percent(claim.mde), number=True),
    ]


def _struck_ratio(case: Compared) -> Cell:
    effect = case.differences[HEADLINE].effect
    return Cell(NONE, "dim", number=True) if effect is None else Cell(times(effect.ratio), struck=True, number=True)


def _scope(found: Comparison) -> str:
    """What the verdict is about, in words that cannot be read as more."""
    one, other = found.baseline, found.candidate
    made = [claim for claim in (*found.claims, found.overall) if claim.verdict is not None]
    if not made:
        return "No verdict is given; what stands in the way is named above and in the fairness ledger."
    spread = percent(max(claim.spread for claim in made))
    if one.machines.keys() == other.machines.keys() and len(one.machines) == 1:
        about = "Both sides ran on one machine: the verdict is about that machine with these two settings or runs."
        if max(claim.spread for claim in made) > 0:
            about += f" Runs that did not take turns differ by themselves: {spread} was added for that."
    elif len(one.machines) > 1 and len(other.machines) > 1:
        about = f"{len(one.machines)} and {len(other.machines)} machines: the verdict is about the device models."
    else:
        about = f"One machine cannot speak for its model: {spread} was added for machines that nobody measured."
    return (
        f"{about} Verdicts are corrected for the number of claims (Holm, 5% over all of them), and so is the MDE, the "
        "smallest difference that most such comparisons would show (four of five; fewer where processes are few)."
    )


# ---- decision numbers


def _decision(told: _Told) -> Iterable[Block]:
    found, sides = told.found, told.names
    limits = [_limit(side) for side in (found.baseline, found.candidate)]
    rows: list[list[Cell]] = []
    for case in found.cases:
        if case.pair.allowed:
            rows += _decision_rows(case, sides, limits)
    if rows:
        heads = ("case", "side", "throughput", "energy a sample", "samples a joule", "power", "memory", "first step")
        yield without_empty(Table("What decides, case by case", heads, rows))
    if all(case.differences["energy_j_per_sample"].effect is None for case in found.cases):
        reasons = {d.absent for case in found.cases for d in _both(case, "energy_j_per_sample") if d.absent}
        yield Notice(
            "No energy is compared: " + ("; ".join(sorted(reasons)) or "not measured on both sides") + ".", "dim"
        )
    else:
        yield Notice(_sensors(found))
    # Where no difference in speed was shown there is nothing to make good with.
    decided = {c.case for c in found.claims if c.metric == HEADLINE and c.verdict in ("faster", "slower")}
    ends = [(c.title, c.break_even_steps, c.break_even_says) for c in found.cases if c.title in decided]
    if ends:
        said = [f"{title}: {f'{steps:,.0f} steps; ' if steps is not None else ''}{says}" for title, steps, says in ends]
        yield Notice("First step and break-even: how long one-time tuning and compilation take to pay for themselves.")
        yield Bullets(said)


def _limit(side: Evidence) -> str | None:
    """The power limit of its devices, as they reported it."""
    found = [show(float(v), "W") for v in side.facts.get("power_limit_w", {}) if v.replace(".", "", 1).isdigit()]
    return listed(sorted(found)) or None


def _both(case: Compared, metric: str) -> tuple[Any, Any]:
    return case.differences[metric].baseline, case.differences[metric].candidate


def _decision_rows(case: Compared, sides: tuple[str, str], limits: Sequence[str | None]) -> list[list[Cell]]:
    rows = []
    for position, name in enumerate(sides):
        values = {key: _both(case, key)[position] for key in BY_KEY}
        evidence = (case.pair.baseline, case.pair.candidate)[position]
        joules = values["energy_j_per_sample"].value
        power = number(values["power_mean_w"].value, "W")
        peak = None if values["power_mean_w"].value is None else evidence.newest.facts.get("power_max_w")
        notes = [
            "" if peak is None else f"peak {show(peak, 'W')}",
            "" if limits[position] is None else f"limit {limits[position]}",
        ]
        rows.append([
            Cell(case.title if position == 0 else ""), Cell(name),
            _value(values[HEADLINE], HEADLINE), _value(values["energy_j_per_sample"], "energy_j_per_sample"),
            Cell(NONE, "dim", number=True) if not joules else Cell(units.number(1 / joules), number=True),
            replace(power, note="" if power.text == NONE else ", ".join(filter(None, notes))),
            _value(values["peak_memory_bytes"], "peak_memory_bytes"), _value(values["first_step_s"], "first_step_s"),
        ])  # fmt: skip
    ratios = {key: case.differences[key].effect for key in BY_KEY}
    joules_effect = ratios["energy_j_per_sample"]
    rows.append([
        Cell(""), Cell("ratio", "strong"), *(_ratio(ratios[key]) for key in (HEADLINE, "energy_j_per_sample")),
        Cell(NONE, "dim", number=True) if joules_effect is None else Cell(times(1 / joules_effect.ratio), number=True),
        *(_ratio(ratios[key]) for key in ("power_mean_w", "peak_memory_bytes", "first_step_s")),
    ])  # fmt: skip
    return rows


def _value(side: Any, metric: str) -> Cell:
    return number(side.value, BY_KEY[metric].unit, side.ci95)


def _ratio(effect: Any, *, struck: bool = False) -> Cell:
    if effect is None:
        return Cell(NONE, "dim", number=True)
    bar = (effect.ci95[0], effect.ratio, effect.ci95[1]) if effect.ci95 and not struck else None
    return Cell(times(effect.ratio), "plain", struck, True, times_interval(effect.ci95), bar)


def _sensors(found: Comparison) -> str:
    """What is systematic in the energies, beside the scatter that the intervals show."""
    said = []
    for name, side in (("baseline", found.baseline), ("candidate", found.candidate)):
        gains = [float(v) for v in side.facts.get("gain_error", {})]
        scope = listed(sorted(side.facts.get("scope", {}))) or "unknown"
        gain = (
            f"± {max(gains):.0%} (one standard deviation)"
            if gains
            else "unknown: no comparison with a meter is published"
        )
        said.append(f"{name}: covers {scope}, gain error of the sensor {gain}")
    return "Energy intervals show scatter only. Systematic and on top of it: " + "; ".join(said) + "."


# ---- fairness


def _fairness(told: _Told) -> Iterable[Block]:
    found = told.found
    if found.ledger:
        yield Table(
            "Every difference between the sides", ("weight", "what", *told.names, "why it matters", "case"),
            [
                [Cell(e.weight, _WEIGHTS[e.weight]), Cell(e.key), Cell(shortened(e.baseline or NONE, 200)),
                 Cell(shortened(e.candidate or NONE, 200)), Cell(e.why), Cell(_about(e.cases, len(found.cases)), "dim")]
                for e in found.ledger
            ],
        )  # fmt: skip
    else:
        yield Notice("No difference between the sides was found but the devices themselves.", "good")
    for name, cases in ((told.names[0], found.only_baseline), (told.names[1], found.only_candidate)):
        if cases:
            yield Notice(f"Only on {name}: " + listed([case.newest.case_id for case in cases], 10), "dim")
    if skipped := {*found.baseline.skipped, *found.candidate.skipped}:
        yield Notice(f"{plural(len(skipped), 'record')} could not be read and were left out:", "warn")
        yield Bullets([shortened(line, 300) for line in sorted(skipped)[:20]])


def _about(cases: Sequence[str], count: int) -> str:
    return "all" if not cases or len(cases) == count else listed(cases, 4)


# ---- cells


def _cells(told: _Told) -> Iterable[Block]:
    if len(told.found.cases) > _MOST_CASES:
        yield Notice(
            f"The first {_MOST_CASES} of {len(told.found.cases)} cases; name fewer to see each in full.", "dim"
        )
    for case in told.found.cases[:_MOST_CASES]:
        struck = not case.pair.allowed
        rows = []
        for metric in METRICS:
            difference = case.differences[metric.key]
            if difference.baseline.value is None and difference.candidate.value is None:
                continue
            sides = [
                number(s.value, metric.unit, s.ci95, absent=s.absent)
                for s in (difference.baseline, difference.candidate)
            ]
            better = f"{metric.better} is better" if metric.ratio else ""
            rows.append([Cell(metric.title, note=better), *sides, _ratio(difference.effect, struck=struck)])
        for title, tell in CONDITIONS:
            texts = [tell(side) for side in (case.pair.baseline, case.pair.candidate)]
            if any(texts):
                rows.append([Cell(title), *(Cell(text or NONE, number=True) for text in texts), Cell("")])
        reason = f" (not comparable: {'; '.join(case.pair.reasons)})" if struck else ""
        yield Table(case.title + reason, ("", *told.names, "ratio"), rows, folded=len(told.found.cases) > _FEW)


def _fact(name: str, spell: Callable[[Any], str]) -> Callable[[CaseEvidence], str]:
    def tell(case: CaseEvidence) -> str:
        value = case.newest.facts.get(name)
        return "" if value is None else spell(value)

    return tell


def _throttled(shares: dict[str, float]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {share:.0%}" for name, share in throttled(shares).items()) or "no"


def _temperatures(case: CaseEvidence) -> str:
    start, end = (case.newest.facts.get(f"temperature_{when}_c") for when in ("start", "end"))
    return "" if start is None or end is None else f"{start:.0f} to {end:.0f} °C"


CONDITIONS: tuple[tuple[str, Callable[[CaseEvidence], str]], ...] = (
    ("regime", lambda case: case.newest.regime or ""),
    ("precision that ran", lambda case: case.newest.precision or "unknown"),
    ("correctness", lambda case: case.newest.correctness or "unchecked"),
    ("threads", lambda case: str(case.newest.threads)),
    ("throttled", _fact("throttled_share", _throttled)),
    ("start to end", _temperatures),
    ("core clock", _fact("core_clock_hz", lambda value: show(value, "Hz"))),
    ("device busy", _fact("gpu_utilization_pct", lambda value: f"{value:.0f}%")),
    (
        "energy by",
        lambda case: {"counter": "energy counter", "power_trapezoid": "integrated power"}.get(
            case.newest.energy_method or "", ""
        ),
    ),
    ("its error, one process", _fact("energy_error_j_per_sample", lambda value: "± " + show(value, "J"))),
    ("idle power", _fact("idle_power_w", lambda value: show(value, "W"))),
)


# ---- charts, raw numbers and method


def _charts(told: _Told) -> Iterable[Block]:
    cases = [
        (case.title, name, evidence)
        for case in told.found.cases if case.pair.allowed
        for name, evidence in zip(told.names, (case.pair.baseline, case.pair.candidate), strict=True)
    ]  # fmt: skip
    yield from pictures.of_claims((told.found.overall, *told.found.claims), told.names)
    yield from pictures.of_cases(cases, told.names, told.timeline, "each side's")


def _raw(told: _Told) -> Iterable[Block]:
    rows = []
    for case in told.found.cases:
        for name, side in zip(told.names, (case.pair.baseline, case.pair.candidate), strict=True):
            values = side.newest.processes.get(HEADLINE, [])
            shown = listed([units.number(value) for value in values], 12) or NONE
            rows.append([Cell(case.title), Cell(name), Cell(shown), Cell(side.newest_run), Cell(side.newest.case_id)])
    if rows:
        yield Table("Throughput of each process of the newest run, samples/s, and where it stands",
                    ("case", "side", "processes", "run", "case in its record.json"), rows, folded=True)  # fmt: skip
    runs = []
    for name, whole in zip(told.names, (told.found.baseline, told.found.candidate), strict=True):
        newest = sorted(whole.runs, key=lambda run: run[1], reverse=True)
        runs += [[Cell(name), Cell(run), Cell(start), Cell(where)] for run, start, where in newest[:_MOST_RUNS]]
        if len(newest) > _MOST_RUNS:
            runs.append([Cell(name), Cell(f"and {len(newest) - _MOST_RUNS:,} older runs", "dim"), Cell(""), Cell("")])
    yield Table("Runs", ("side", "run", "started", "record"), runs, folded=True)
    yield Bullets(METHOD)


METHOD = (
    "Throughput of a process: batch size over the median over blocks of time a step. "
    "The value of a side is the geometric mean; ratios are candidate over baseline of the metric itself.",
    "Unit of inference: the fresh process; the run from three runs a side on; the machine where a side has several. "
    "Steps and blocks are repeated measures and never counted as samples.",
    "Intervals: Welch's t on logarithms, 95%; where both cases are of one run, t on log ratios of processes that took "
    "turns.",
    "Overall: geometric mean over workloads with equal weights, for these workloads; the machines' spread does not "
    "average out over workloads.",
    "Cases are paired by workload, mode, parameters, batch size, sequence length, variant and the arithmetic that ran, "
    "as probed on the device, not as asked for. Wrong results are never ranked.",
    "Latency p50, p90, p99: one request at a time with a synchronisation after each; geometric mean over processes.",
    "Energy: the counter's difference between two of its edges where the device has one, else integrated power; "
    "the idle floor included unless it says above idle.",
)

SECTIONS: tuple[tuple[str, str, Callable[[_Told], Iterable[Block]]], ...] = (
    ("verdict", "Verdict", _verdict),
    ("decision", "Decision numbers", _decision),
    ("fairness", "Fairness ledger", _fairness),
    ("cells", "Case by case", _cells),
    ("charts", "Charts", _charts),
    ("raw", "Raw numbers and method", _raw),
)
