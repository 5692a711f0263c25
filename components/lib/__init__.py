"""ML code that stages share. Imports no Ray, MLflow or DVC."""
