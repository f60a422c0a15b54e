"""Makes visual tokenizers: fits, trains, imports and inspects them, and caches their codes."""
