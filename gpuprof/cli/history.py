"""gpuprof history"""

from __future__ import annotations

from pathlib import Path

import click

from gpuprof.cli.common import SHARE, SHARE_OR_NONE, again, json_option, store_option, verbose_option
from gpuprof.cli.completed import completed
from gpuprof.errors import EXIT_OK, EXIT_REGRESSION, StoreError, UsageError

_METRIC = "throughput_per_s"


@click.command(name="history", short_help="A metric over time: when it changed, and what else did.")
@click.argument("selector", required=False, shell_complete=completed)
@store_option
@click.option("--metric", default=_METRIC, show_default=True, metavar="NAME",
              help="A metric of `gpuprof report --json`.")  # fmt: skip
@click.option("--check", is_flag=True, help="Exit with code 5 if something got worse.")
@click.option("--last", type=click.IntRange(min=1), metavar="RUNS", default=None,
              help="Changes within this many latest runs are new.  [default: 10]")  # fmt: skip
@click.option("--least", type=SHARE_OR_NONE, metavar="SHARE", default=None,
              help="Ignore relative changes below this.  [default: 2%]")  # fmt: skip
@click.option("--require-power", type=SHARE, metavar="SHARE", default=None,
              help="With --check: exit with code 5 also where a change of this size would not show yet.")  # fmt: skip
@click.option("--format", "form", type=click.Choice(["text", "json", "md", "html"]), default=None,
              help="Default: from the suffix of -o, else text.")  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write to this file.")
@verbose_option
@json_option
def command(
    selector: str | None, store: Path, metric: str, check: bool, last: int | None, least: float | None,
    require_power: float | None, form: str | None, output: Path | None, verbose: bool, as_json: bool,
) -> int:  # fmt: skip
    """Show a metric over time on each machine: when its level changed, and what else changed then.

    SELECTOR picks runs and cases as in `gpuprof compare --help`; the default is the whole store. A series holds the
    runs of one case of one configuration file on one machine. Change points need ten runs; in a shorter series, the
    newest run is compared with the earlier ones.

    --check looks for what is worse now: a level that is worse, by at least --least, than the best level of the last
    --last runs and the run before them, or a slow decline. In a series too short for change points: a newest run that
    is worse than the earlier ones, corrected for the number of series. A series cannot tell yet where even a change of
    10% (or of --require-power) would not show. It has ended, and is not judged, if its newest run is 30 days older than
    the newest of all.

    \b
    Examples:
      gpuprof history
      gpuprof history workload=lstm,mode=train --metric energy_j_per_sample
      gpuprof history device~H100 -o history.html
      gpuprof history --check --last 5 || echo slower
      gpuprof history --check --require-power 5%

    \b
    Exit codes:
      0  shown
      2  bad usage, or no such runs
      5  something got worse, or could not be told (with --check)
    """
    from dataclasses import replace

    from gpuprof.analysis import history as analysis
    from gpuprof.cli.writing import choose, hand_out, indexing
    from gpuprof.index.sources import Sources
    from gpuprof.metrics import BY_KEY
    from gpuprof.report.stories.history import History, document, story
    from gpuprof.system.clock import utc_now
    from gpuprof.text import plural

    if metric not in BY_KEY or not BY_KEY[metric].ratio:
        followed = ", ".join(key for key, known in BY_KEY.items() if known.ratio)
        raise UsageError(f"no history of metric {metric!r}; known: {followed}")
    if require_power is not None and not check:
        raise UsageError("--require-power is part of --check: give both")
    form = choose(form, output, as_json)
    last, least = analysis.RECENT if last is None else last, analysis.LEAST if least is None else least
    with indexing() as progress, Sources(store, progress) as sources:
        choice = sources.dated(selector)
        series, skipped = analysis.history(choice.runs, metric), choice.skipped
        now = utc_now()
        ended = analysis.ended(series, now)
        series = analysis.together(series, ended)
        over = set(map(id, ended))
        judged = [each for each in series if id(each) not in over]
        worse = analysis.regressions(judged, last=last, least=least)
    if not series:
        faults = f"; {plural(len(skipped), 'unreadable record')}, first: {skipped[0]}" if skipped else ""
        asked = f" matches {selector!r}" if selector else ""
        raise StoreError(f"no run with {metric} in {store}{asked}{faults}. Measure one with `gpuprof run CONFIG`.")
    required = analysis.REQUIRED if require_power is None else require_power
    shown = History(selector or str(store), metric, series, worse, skipped, last, ended, required)
    told = replace(story(shown, now), again=again())
    hand_out(told, lambda: document(shown, now), form, output, verbose=verbose)
    failed = worse or (require_power is not None and shown.unclear)
    return EXIT_REGRESSION if check and failed else EXIT_OK
