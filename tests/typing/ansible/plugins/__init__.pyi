"""What of Ansible's plugins tests use."""
