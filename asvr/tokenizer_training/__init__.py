"""Trains visual tokenizers: DualToken's two branches, alone or jointly, from a recipe that is a value."""
