"""The words: a tuning job and its results as frozen data. No input or output, no clock, no randomness."""
