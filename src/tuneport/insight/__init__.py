"""Looks at results and changes nothing."""
