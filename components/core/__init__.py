"""The contracts: artifacts, components, settings. Imports no torch."""
