"""Files that people write -> checked values."""
