"""Autoregressive Semantic Visual Reconstruction for stock Hugging Face vision-language models (arXiv 2506.09040)."""

__version__ = "0.1.0"
