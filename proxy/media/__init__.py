"""What WhatsApp accepts, and making it so."""
