"""transformers' architectures in our sizes, and models in folders."""
