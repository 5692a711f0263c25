"""Reports that pass the gate -> registered model."""
