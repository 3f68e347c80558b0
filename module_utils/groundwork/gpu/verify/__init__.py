"""Whether a host's GPUs are well, and are what the inventory says: observed first, then judged by pure functions."""
