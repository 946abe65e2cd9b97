"""For tests of tuneport and of backends for it."""
