"""Jobs: a verb that runs elsewhere or later, and goes on when nobody watches; a module for each place."""
