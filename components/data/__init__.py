"""Data: where documents come from, and how they are pinned."""
