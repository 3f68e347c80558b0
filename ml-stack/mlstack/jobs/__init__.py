"""Jobs: a verb that runs elsewhere or later, and goes on when nobody watches; record.py knows them, one module a place."""
