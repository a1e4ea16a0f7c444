"""The client's models into the engine's objects, and the engine's answers back into models."""
