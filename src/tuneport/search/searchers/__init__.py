"""Searchers: each proposes points for trials."""
