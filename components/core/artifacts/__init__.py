"""The nouns of the platform: what components take and return."""
