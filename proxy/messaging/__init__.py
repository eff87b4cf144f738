"""A message, sent and followed."""
