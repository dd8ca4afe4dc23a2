"""A night: measure once, compare with the nights before, report."""
