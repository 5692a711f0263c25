"""How weights are chosen to go: calibration text, the walk over the blocks, and the methods."""
