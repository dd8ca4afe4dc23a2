"""The reports, apart from how they look: `story()` of each file makes sections of blocks (report/story.py)."""
