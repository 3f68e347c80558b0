"""A lab of several hosts on one machine: containers run by systemd, a site mirror, and doubles of what is not here."""
