"""Continued pretraining: a model that exists reads more documents."""
