"""The record of a run: what passes between rooms, frozen and checked. `record.run` has the whole of it."""
