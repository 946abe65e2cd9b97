"""Amazon SageMaker: hyperparameter tuning jobs."""
