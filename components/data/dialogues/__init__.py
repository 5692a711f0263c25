"""Dialogues and preferences: their formats, and what is wrong with some."""
