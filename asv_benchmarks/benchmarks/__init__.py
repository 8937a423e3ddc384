"""What `asv run` measures, a module a subject."""
