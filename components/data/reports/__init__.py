"""What a dataset is, in numbers and pages."""
