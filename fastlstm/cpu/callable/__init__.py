"""What users' own compiled code calls."""
