"""One room per backend, the same cupboards in each."""
