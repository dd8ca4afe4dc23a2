"""Runs found again: digests of a store in a local database, and what names them. pydantic for new runs alone."""
