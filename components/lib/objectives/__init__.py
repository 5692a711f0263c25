"""What a model is trained for, one file an objective."""
