"""Charts as Vega-Lite specifications, from plain rows. Colours are CSS variables: one picture serves light and dark.

A row's `label` (a case) and `side` are shown as they are. Sides keep the order of `sides`, or of their first row; the
first is the baseline. Whatever differs in colour differs in shape, dash or place as well. Values that cannot be drawn
(None, not finite, not positive on a log axis) are left out.
"""
