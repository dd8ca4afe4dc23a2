"""Rendering: pure functions from results to text. Only the command line prints."""
