"""Where pictures come from, and the one door through which they are read."""
