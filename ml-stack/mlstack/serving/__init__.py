"""Serving: the champion behind HTTP by Ray Serve, and whole files by Ray Data."""
