"""What a report says, apart from how it looks. Each story is sections of blocks (story.py)."""
