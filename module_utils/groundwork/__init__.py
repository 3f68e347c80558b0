"""What Groundwork's Ansible modules do. Runs on hosts with Python 3.10 or newer; third-party imports are guarded."""
