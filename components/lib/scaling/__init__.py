"""What a training would take on other machines."""
