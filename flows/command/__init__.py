"""The `bloomery` command."""
