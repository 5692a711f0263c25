"""Model -> a smaller, faster export."""
