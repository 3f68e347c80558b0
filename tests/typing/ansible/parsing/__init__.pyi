"""What of Ansible's parsing tests use."""
