"""The training loop of every component that trains by gradient descent."""
