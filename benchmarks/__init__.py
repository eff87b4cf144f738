"""What a hit costs, as a multiple of what it costs nginx on the same machine in the same minute: `make bench`."""
