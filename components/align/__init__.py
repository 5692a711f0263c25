"""Instruct model -> aligned model."""
