"""Chat template and tokens."""
