"""Burn-in: whether each GPU computes rightly, keeps what it is given, and is as fast as its kind."""
