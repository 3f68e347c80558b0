"""What all tests share."""

from __future__ import annotations

from pathlib import Path

import ansible.module_utils

# Ansible packs module_utils/groundwork as ansible.module_utils.groundwork (ansible.cfg); tests import it by that name.
ansible.module_utils.__path__.append(str(Path(__file__).parents[1] / "module_utils"))
