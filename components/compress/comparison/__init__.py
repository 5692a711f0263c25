"""Several smaller models held against their original, and against each other."""
