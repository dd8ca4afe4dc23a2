"""What Linux and Python say of this machine. Standard library only."""
