"""`gpuprof doctor`: finds what would spoil a measurement on a GPU, and the fix.

`gather` collects plain facts, and the functions in CHECKS judge them; nothing is decided anywhere else.
"""

from gpuprof.doctor.checks import CHECKS, examine, verdict
from gpuprof.doctor.facts import Facts, gather
from gpuprof.doctor.findings import STATUSES, Finding

__all__ = ["CHECKS", "STATUSES", "Facts", "Finding", "examine", "gather", "verdict"]
