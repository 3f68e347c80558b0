"""Judgement: a candidate against a simple baseline and the current champion, before anybody is served by it."""
