"""The servers of this machine: where they are, who may call them, how they are called."""
