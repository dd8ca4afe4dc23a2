"""Rendering: pure functions from records to text. Only the command line prints."""
