"""Facts about this machine from Linux and Python. Standard library only."""
