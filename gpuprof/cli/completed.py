"""What a shell completes: runs, selectors, configurations. Quick, and only names that are safe in any shell."""

from __future__ import annotations

import os
import re
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from gpuprof.case_keys import SELECTED

_RUN = re.compile(r"[0-9]{8}T[0-9]{6}Z-[A-Za-z0-9_.-]+")
_MOST = 30
_FIELDS = ("vendor", "device", "workload", "kind", "outcome", "host", "torch", "driver", "since", "until",
           *(key.name for key in SELECTED))  # fmt: skip
_VALUES = {"vendor": ("nvidia", "amd"), "kind": ("gpu", "cpu"), "outcome": ("ok", "partial", "failed", "interrupted"),
           "simulated": ("true", "false")}  # fmt: skip


def completed(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of runs, the newest first, words that stand for some, and conditions of a selector."""
    done, comma, last = incomplete.rpartition(",")
    field, sign, value = last.partition("=")
    if sign:
        known = _workloads() if field == "workload" else _VALUES.get(field, ())
        return [CompletionItem(f"{done}{comma}{field}={each}") for each in known if each.startswith(value)]
    # A condition goes on: the shell adds no blank after it.
    found = [CompletionItem(f"{done}{comma}{name}=", type="nospace") for name in _FIELDS if name.startswith(last)]
    if comma:
        return found
    names = [name for name in (*_runs(ctx), "last", "previous") if incomplete in name]
    return [*(CompletionItem(name) for name in names[:_MOST]), *found]


def configurations(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Files, and the names of the configurations that come with gpuprof."""
    from gpuprof.config.shipped import names

    return [*(CompletionItem(name) for name in names() if name.startswith(incomplete)),
            CompletionItem(incomplete, type="file")]  # fmt: skip


def _runs(ctx: click.Context) -> list[str]:
    store = ctx.params.get("store") or os.environ.get("GPUPROF_STORE") or "results"
    try:
        entries = sorted(os.listdir(Path(store)), reverse=True)  # noqa: PTH208 - names alone
    except OSError:
        return []
    return [name for name in entries if _RUN.fullmatch(name)]


def _workloads() -> list[str]:
    from gpuprof import workloads

    return list(workloads.names())
