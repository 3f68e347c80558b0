"""Jobs: a verb that runs elsewhere or later, and goes on when nobody watches. record.py knows them; a module a place."""
