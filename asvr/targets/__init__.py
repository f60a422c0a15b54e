"""Frozen maps from an image to what must be reconstructed."""
