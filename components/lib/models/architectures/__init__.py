"""The architectures that a model can have, one class a file; none of them imports torch."""
