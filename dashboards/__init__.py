"""What people look at: made from records, MLflow and Prefect, never from a stage's code."""
