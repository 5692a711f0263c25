"""Trained models at work: scoring, decoding, conversation."""
