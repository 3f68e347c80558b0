"""A double of snapd for hosts of the lab: the command `snap`, on Python's standard library and openssl."""
