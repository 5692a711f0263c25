"""The contract: components, artifacts, fingerprints, records, settings. Imports no torch."""
