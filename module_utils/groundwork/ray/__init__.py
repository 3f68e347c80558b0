"""Ray, as somebody outside meets it: its dashboard's HTTP API, and what can be proved by it."""
