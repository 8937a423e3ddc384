"""Keras's way to build and train a model, on NumPy arrays."""
