"""What a training step sees: batches, sequences, packing, order."""
