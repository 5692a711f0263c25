"""`data/` and its revisions: all that calls DVC."""
