"""A link, served."""
