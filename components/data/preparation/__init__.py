"""What is done with dialogues and comparisons before a model learns from them."""
