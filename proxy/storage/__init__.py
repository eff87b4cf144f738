"""Where media lie."""
