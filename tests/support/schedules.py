"""Schedules with arguments that nobody should have."""

from __future__ import annotations

from gpuprof.engines.schedule import Schedule

# Spaces, quotes, specifiers and variables of systemd, a shell's and GitHub's, and what a YAML scalar might become.
HOSTILE = ("a b", "100%", "%h", "$HOME", "${x}", "it's", 'say "so"', "a;b", ";", "#", "&& true", "- x: y",
           "${{ env.X }}", "é", "`id`", "*", "~", "", "--")  # fmt: skip
ARGUMENTS = [word for word in HOSTILE if word]


def plan(*words: str, **more) -> Schedule:
    return Schedule(("/bin/true", *words), **more)
