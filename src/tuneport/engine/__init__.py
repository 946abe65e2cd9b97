"""The hands: ask, launch, measure, decide, tell, record."""
