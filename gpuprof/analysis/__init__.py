"""Pure functions on numbers and records; needs neither torch nor numpy."""
