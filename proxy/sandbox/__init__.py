"""A pretend 360dialog with WhatsApp behind it. It imports none of our other rooms, so that it can catch our mistakes."""
