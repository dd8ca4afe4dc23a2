"""Views in a terminal that are no stories: one run, devices, a monitored command."""
