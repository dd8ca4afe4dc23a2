"""gpuprof compare"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gpuprof.case_keys import FIELDS, SELECTED
from gpuprof.cli.common import (
    SHARE,
    again,
    console,
    json_option,
    print_json,
    redact_option,
    say,
    store_option,
    verbose_option,
)
from gpuprof.cli.completed import completed
from gpuprof.errors import EXIT_OK, EXIT_REGRESSION, EXIT_UNFAIR, UsageError

if TYPE_CHECKING:
    from gpuprof.analysis.compare import Comparison


@click.command(name="compare", short_help="Compare two sets of runs: verdict, energy, fairness.")
@click.argument("baseline", shell_complete=completed)
@click.argument("candidate", shell_complete=completed)
@store_option
@click.option("--vary", multiple=True, metavar="FIELD", type=click.Choice(FIELDS),
              help=f"What differs on purpose: {', '.join(FIELDS)}. May be repeated.")  # fmt: skip
@click.option("--machine-spread", type=click.FloatRange(0, 1), metavar="SHARE", default=None,
              help="Assumed relative spread of throughput between machines of one model, for a side with one machine.  "
              "[default: 0.015]")  # fmt: skip
@click.option("--least", type=SHARE, metavar="SHARE", default="5%", show_default=True,
              help="The smallest difference that matters to you: below it --fail-on ignores any, and for it the report "
              "plans.")  # fmt: skip
@click.option("--fail-on", multiple=True, type=click.Choice(["slower", "no-verdict"]),
              help="Exit with code 5 if the candidate is slower by --least or more, overall or in some case; or if "
              "nothing can be said of a difference of --least, or a case of the baseline has nothing to be compared "
              "with.  May be repeated.")  # fmt: skip
@click.option("--strict", is_flag=True, help="Refuse with exit code 4 if the fairness ledger blocks anything.")
@click.option("--format", "form", type=click.Choice(["text", "json", "md", "html", "pdf"]), default=None,
              help="Default: from the suffix of -o, else text.")  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write to this file.")
@redact_option
@verbose_option
@json_option
def command(
    baseline: str, candidate: str, store: Path, vary: tuple[str, ...], machine_spread: float | None, least: float,
    fail_on: tuple[str, ...], strict: bool, form: str | None, output: Path | None, redact: bool, verbose: bool,
    as_json: bool,
) -> int:  # fmt: skip
    """Compare CANDIDATE with BASELINE: is it faster, by how much, how sure, and was the comparison fair?

    Each side is a word that names runs (nvidia, H100, lstm), a run id or a unique part of one, `last`, `previous` (the
    newest before the last of the same configuration), a record, a directory of runs, or a selector that picks runs
    from the store: conditions FIELD OP VALUE joined by commas. OP is = != ~ (contains) == (to the letter) >= <= > or <.
    FIELD is vendor, device (= matches words of its name), date (since=DAY and until=DAY as well), host, torch, driver,
    kind, run, outcome or simulated for runs, and workload, CASE_KEYS for cases. No GPU, torch or vendor library is
    needed.

    \b
    Examples:
      gpuprof compare nvidia amd -o report.html
      gpuprof compare H100 device=MI300X,since=2026-11-01
      gpuprof compare 20261123T0900 20261123T0915 --vary threads
      gpuprof compare variant=eager variant=compile --format md
      gpuprof compare results-h100/ results-mi300x/ --strict --format json
      gpuprof compare vendor=nvidia vendor=amd --redact -o for-the-vendor.html
      gpuprof compare previous last --fail-on slower --least 3%

    \b
    Exit codes:
      0  compared
      2  bad usage, or no such runs
      4  refused by --strict
      5  what --fail-on names
    """
    from gpuprof.analysis import compare as analysis
    from gpuprof.analysis import evidence, past
    from gpuprof.analysis.effect import MACHINE_SPREAD
    from gpuprof.analysis.identity import redaction
    from gpuprof.analysis.names import names
    from gpuprof.cli.writing import choose, hand_out, indexing
    from gpuprof.index.selector import varied
    from gpuprof.index.sources import Sources
    from gpuprof.report.charts import sampled
    from gpuprof.report.forms.document import document
    from gpuprof.report.stories.comparison import story
    from gpuprof.system.clock import utc_now
    from gpuprof.text import plural

    if machine_spread is not None and machine_spread != machine_spread:
        raise UsageError("--machine-spread must be a number")
    form = choose(form, output, as_json)
    with indexing() as progress, Sources(store, progress) as sources:
        choices = [sources.side(text) for text in (baseline, candidate)]
        sides = [evidence.side(text, choice) for text, choice in zip((baseline, candidate), choices, strict=True)]
        past.remember(sides[0], sides[1], sources)
    for name, side in zip(("BASELINE", "CANDIDATE"), sides, strict=True):
        if len(side.devices) > 1:
            models = "\n  ".join(f"{plural(count, 'run')} on {device}" for device, count in side.devices.items())
            raise UsageError(
                f"{name} {side.text!r} has runs on {len(side.devices)} device models; pick one with device~NAME:\n"
                f"  {models}"
            )
    comparison = analysis.compare(
        *sides, vary=set(vary) | varied(*(choice.selector for choice in choices)),
        machine_spread=MACHINE_SPREAD if machine_spread is None else machine_spread, least=least,
    )  # fmt: skip
    if strict and (comparison.blocked or comparison.coverage < analysis.ENOUGH):
        return _refuse(comparison, as_json=form == "json")
    now = utc_now()
    drawn = sampled.of(*zip(names(*sides), sides, strict=True)) if form in ("html", "pdf") else None
    hide = redaction(sides) if redact else None
    hand_out(
        story(comparison, now, drawn, again()), lambda: document(comparison, now), form, output, hide, verbose=verbose
    )
    causes = [f"--fail-on {name}: {why}" for name, why in comparison.failures.items() if name in fail_on]
    for cause in causes:
        say(console(stderr=True), f"gpuprof: {cause}")
    return EXIT_REGRESSION if causes else EXIT_OK


command.help = (command.help or "").replace("CASE_KEYS", ", ".join(key.name for key in SELECTED))


def _refuse(comparison: Comparison, *, as_json: bool) -> int:
    lines = [
        f"{', '.join(row.cases) or 'all cases'}: {row.key}: {row.baseline} vs {row.candidate} ({row.why})"
        for row in comparison.blocked
    ]
    if comparison.gaps:
        lines.append(f"{comparison.coverage:.0%} of the cases can be compared, and --strict wants 80%")
    message = "not compared, because --strict was given and these differences block:\n  " + "\n  ".join(lines)
    if as_json:
        print_json({"error": {"message": message, "exit_code": EXIT_UNFAIR}})
    else:
        from gpuprof.text import printable

        click.echo(f"gpuprof: {printable(message)}", err=True)
    return EXIT_UNFAIR
