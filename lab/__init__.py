"""A lab of several hosts on one machine: containers whose PID 1 is systemd, a site mirror, and the doubles of what cannot be here."""
