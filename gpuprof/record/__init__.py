"""The record of a run: what passes between rooms, frozen and checked. `record.run` is the whole.

The docstring of a part is published, as its description in the JSON Schema.
"""
