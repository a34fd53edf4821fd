"""Theory beside the number."""
