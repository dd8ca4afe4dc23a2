"""Runs on disk: published ones, those in progress, what dead ones left."""
