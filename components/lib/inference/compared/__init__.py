"""Two models held against each other: what they expect, decide and do."""
