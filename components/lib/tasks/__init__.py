"""Tasks whose answers a program can verify."""
