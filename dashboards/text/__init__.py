"""Scorecard, cards, lineage and ledger as tables and Markdown."""
