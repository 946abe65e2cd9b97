"""Portable hyperparameter tuning."""
