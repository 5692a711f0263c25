"""Which documents share a run of words with what models are evaluated on."""
