"""A pretend 360dialog, and Cloud API, with WhatsApp behind. It imports no other room of ours, to catch our mistakes."""
