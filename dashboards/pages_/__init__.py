"""The pages of the dashboard, one a file: they draw what the modules beside them read."""
