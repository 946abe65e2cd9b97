"""Where trials run: each executor starts, watches and stops them."""
