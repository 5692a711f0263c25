"""Token shards -> base model."""
