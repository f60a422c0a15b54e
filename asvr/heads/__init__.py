"""Trained maps from hidden states to the loss of reconstructing their targets."""
