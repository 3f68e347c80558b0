"""A double of snapd: the command `snap` with snapd's surface, for hosts of the lab. It needs Python's standard library and openssl."""
