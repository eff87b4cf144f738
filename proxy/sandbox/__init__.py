"""A pretend 360dialog with WhatsApp behind it. It imports no other room of ours, so that it can catch our mistakes."""
