"""The passes over sequences."""
