"""Builds and runs a recipe."""
