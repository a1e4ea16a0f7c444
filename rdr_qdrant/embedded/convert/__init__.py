"""Conversion between qdrant-client's models and the engine's objects."""
