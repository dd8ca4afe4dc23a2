"""The watching half of a run: starts workers, asks them, waits with a deadline, keeps what they say. No torch."""
