"""WHERE things run: the servers and the worker of one machine; clusters are configuration of it."""
