"""What each training step saw, as a chain of hashes, and whose documents that were."""
