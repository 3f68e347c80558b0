"""MLflow's tracking server by its REST API: its users, and whether it keeps what is logged."""
