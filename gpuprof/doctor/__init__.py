"""`gpuprof doctor`: what keeps GPUs from being measured rightly, and the fix.

`gather` collects plain facts, the functions in CHECKS judge them, and nothing is decided anywhere else.
"""

from gpuprof.doctor.checks import CHECKS, STATUSES, Finding, examine, verdict
from gpuprof.doctor.facts import Facts, gather

__all__ = ["CHECKS", "STATUSES", "Facts", "Finding", "examine", "gather", "verdict"]
