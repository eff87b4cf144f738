"""medialink: links that WhatsApp can always fetch."""
