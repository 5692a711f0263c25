"""The nouns of the platform: what components take and return."""

from components.core.artifacts.data import DocumentShards as DocumentShards
