"""Training: plain torch in loop.py, the tasks beside it, and Ray Train around them in running.py."""
