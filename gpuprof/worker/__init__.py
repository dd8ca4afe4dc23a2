"""The torch half: a fresh process that answers requests, one JSON object per line; it knows no stores or files.

requests (stdin)          replies (the descriptor named as first argument)
  {"do": "environment"}     {"event": "result", "data": {...}}
  {"do": "inspect", ...}    {"event": "failed", "outcome": ..., "reason": ...}
  {"do": "measure", ...}    {"event": "ready", "window": ...}   then waits for a line of the supervisor before the phase
  {"do": "load", ...}       the same
"""
