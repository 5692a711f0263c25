"""Stage ledger that passes the gate -> registered model."""
