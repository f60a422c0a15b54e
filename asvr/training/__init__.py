"""Builds and runs a recipe."""

import logging

# peft imports bitsandbytes wherever it is installed, which then warns of a fused CPU kernel that nothing here uses.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
