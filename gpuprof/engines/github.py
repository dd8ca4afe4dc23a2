"""A workflow for GitHub Actions, on runners of your own."""

from __future__ import annotations

import json
import shlex

from gpuprof.engines.schedule import NAME, Schedule

# By commit, which nobody can move; the tag is for the reader.
_CHECKOUT = "actions/checkout@08c6903cd8c0fde910a37f88322edcfb5dd907a8 # v5.0.0"
_UPLOAD = "actions/upload-artifact@ea165f8d65b6e75b540449e92b4886f43607fa02 # v4.6.2"


def github(schedule: Schedule) -> dict[str, str]:
    """A workflow by file name, for self-hosted runners labelled cuda and rocm. It uploads `reports`, if any."""
    run = _expression_free(shlex.join(schedule.command))
    upload = f"""
      - uses: {_UPLOAD}
        if: always()
        with:
          name: {NAME}-${{{{ matrix.gpu }}}}
          path: {_scalar(_expression_free(schedule.reports))}
          if-no-files-found: warn
"""
    return {
        f"{NAME}.yml": f"""\
# Put this into .github/workflows/. The time is UTC. Exit code 5 of the command (something got slower) fails the job.
name: {NAME}
"on":
  schedule:
    - cron: "{schedule.minute} {schedule.hour} * * *"
  workflow_dispatch: {{}}
permissions:
  contents: read
concurrency:
  group: {NAME}
jobs:
  nightly:
    strategy:
      fail-fast: false
      matrix:
        gpu: [cuda, rocm]
    runs-on: [self-hosted, "${{{{ matrix.gpu }}}}"]
    timeout-minutes: {23 * 60}  # GitHub's default of 6 hours is too short; gpuprof nightly limits each configuration
    steps:
      - uses: {_CHECKOUT}
        with:
          persist-credentials: false
      - run: {_scalar(run)}{upload.rstrip() if schedule.reports else ""}
"""
    }


def _scalar(text: str) -> str:
    """Text as a YAML string on one line: a JSON string is one, except for JSON's escapes beyond U+FFFF."""
    return json.dumps(text, ensure_ascii=False)


def _expression_free(text: str) -> str:
    """Text with each `${{` as an expression that gives `${{`: GitHub replaces expressions before a shell reads them."""
    return text.replace("${{", "${{ '${{' }}")
