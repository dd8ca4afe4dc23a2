"""Runs found again: digests of a store in a local database, and selectors. pydantic is loaded for new runs alone."""
