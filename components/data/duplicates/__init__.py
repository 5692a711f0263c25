"""Which documents are the same, or hold one another."""
