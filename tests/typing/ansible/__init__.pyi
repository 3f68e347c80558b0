"""The parts of Ansible that modules use."""
