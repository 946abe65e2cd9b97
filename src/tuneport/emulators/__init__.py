"""Local stand-ins for the clouds' services: the vendors' SDKs talk to them, and trials really run, on this machine."""
