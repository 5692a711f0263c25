"""ML code that two stages share."""
