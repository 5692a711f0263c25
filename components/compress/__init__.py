"""Make a model smaller and faster, and measure what it cost."""
