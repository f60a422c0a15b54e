"""Stock models, assembled."""
