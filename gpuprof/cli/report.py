"""gpuprof report"""

from __future__ import annotations

from pathlib import Path

import click

from gpuprof.cli.common import again, json_option, redact_option, store_option, verbose_option
from gpuprof.cli.completed import completed
from gpuprof.errors import EXIT_OK, StoreError


@click.command(name="report", short_help="Report on one run, several, or the whole store.")
@click.argument("selection", metavar="[WHAT]", required=False, shell_complete=completed)
@store_option
@click.option("--format", "form", type=click.Choice(["text", "json", "md", "html", "pdf"]), default=None,
              help="Default: from the suffix of -o, else text.")  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write to this file.")
@redact_option
@verbose_option
@json_option
def command(
    selection: str | None,
    store: Path,
    form: str | None,
    output: Path | None,
    redact: bool,
    verbose: bool,
    as_json: bool,
) -> int:
    """Show what was measured, and on which device: tables and charts of WHAT, or of the whole store.

    WHAT is a run id or a unique part of one, a record, a directory of runs, or a selector such as vendor=amd (see
    `gpuprof compare --help`). A report gives no verdicts: to test a difference, use `gpuprof compare`.

    \b
    Examples:
      gpuprof report -o report.html
      gpuprof report last
      gpuprof report workload=lstm,since=2026-11-01 --format md
    """
    from dataclasses import replace

    from gpuprof.analysis.evidence import by_device
    from gpuprof.analysis.identity import redaction
    from gpuprof.cli.writing import choose, hand_out, indexing
    from gpuprof.index.sources import Sources
    from gpuprof.report.charts import sampled
    from gpuprof.report.forms.document import overview as document
    from gpuprof.report.stories.overview import Overview, story
    from gpuprof.system.clock import utc_now
    from gpuprof.text import plural

    form = choose(form, output, as_json)
    with indexing() as progress, Sources(store, progress) as sources:
        choice = sources.runs(selection)
        devices, skipped = by_device(choice.runs), choice.skipped
    if not devices:
        faults = f"; {plural(len(skipped), 'unreadable record')}, first: {skipped[0]}" if skipped else ""
        if selection is not None:
            raise StoreError(f"no run to report on: nothing matches {selection!r}{faults}")
        raise StoreError(f"no run to report on in {store}{faults}. Measure one with `gpuprof run CONFIG`.")
    overview = Overview(selection or str(store), devices, skipped)
    if form in ("html", "pdf"):
        drawn = sampled.of(*zip(overview.names, devices, strict=True))
        overview = replace(overview, timeline=drawn)
    now = utc_now()
    hide = redaction(devices) if redact else None
    told = replace(story(overview, now), again=again())
    hand_out(told, lambda: document(overview, now), form, output, hide, verbose=verbose)
    return EXIT_OK
