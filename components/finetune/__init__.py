"""Base model -> instruct model."""
