"""Model -> report."""
