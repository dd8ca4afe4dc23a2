"""What a terminal shows of one run, or of devices, apart from stories."""
