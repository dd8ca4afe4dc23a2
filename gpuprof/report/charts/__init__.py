"""Charts as Vega-Lite specifications, from plain rows. Colours are CSS variables: one picture serves light and dark.

A row's `label` and `side` are shown as they stand. Sides keep the order of `sides`, or of their first row: the first is
the baseline. Every difference that has a colour has a shape, a dash or a place too. Values that cannot be drawn (none,
not finite, not positive on a log axis) are left out.
"""
