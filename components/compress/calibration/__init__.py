"""What a model multiplies with on real text, and weights chosen for it."""
