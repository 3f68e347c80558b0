#!/usr/bin/python
"""Ansible module nvidia_container_runtime."""

from __future__ import annotations

DOCUMENTATION = """
module: nvidia_container_runtime
short_description: Give containerd the runtime nvidia and CDI
description:
  - Runs C(nvidia-ctk runtime configure) on a copy of a configuration, and writes the configuration only where the copy
    differs.
  - Reports a change as well where the configuration that containerd reads is older than its template, so that a run
    that was interrupted before containerd's restart is finished by the next one.
  - Does not restart containerd; notify a handler.
options:
  template:
    description: MicroK8s's template of containerd's configuration.
    type: path
    default: /var/snap/microk8s/current/args/containerd-template.toml
  rendered:
    description: The configuration that MicroK8s writes out of the template when containerd starts.
    type: path
    default: /var/snap/microk8s/current/args/containerd.toml
attributes:
  check_mode: {support: full}
  diff_mode: {support: full}
author: Groundwork
"""

EXAMPLES = """
- name: Ensure containerd has the runtime nvidia
  nvidia_container_runtime:
  notify: Restart containerd
"""

RETURN = """
actions:
  description: What was done or, in check mode, would be done, and what is left to the handler.
  returned: success
  type: list
  elements: str
  sample: [configure the template, restart containerd]
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.groundwork.command import run
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.gpu import container_runtime
from ansible.module_utils.groundwork.module import finish

PLACE = "/var/snap/microk8s/current/args/"


def main() -> None:
    """Write the template where it differs, and exit."""
    module = AnsibleModule(
        argument_spec={
            "template": {"type": "path", "default": PLACE + "containerd-template.toml"},
            "rendered": {"type": "path", "default": PLACE + "containerd.toml"},
        },
        supports_check_mode=True,
    )
    finish(module, lambda: work(module, Path(module.params["template"]), Path(module.params["rendered"])))


def work(module: AnsibleModule, template: Path, rendered: Path) -> dict[str, object]:
    """Observe, plan, and write the template unless in check mode."""
    state = container_runtime.observe(run, template, rendered)
    if state.after is None and not module.check_mode:
        raise GroundworkError("nvidia-ctk is not installed", "Install the container toolkit first (playbooks/gpu.yml).")
    actions = container_runtime.plan(state)
    after = state.after or state.before
    if after != state.before and not module.check_mode:
        write(module, template, after)
    diff = {"before_header": str(template), "after_header": str(template), "before": state.before, "after": after}
    return {"changed": bool(actions), "actions": actions, "diff": diff}


def write(module: AnsibleModule, template: Path, text: str) -> None:
    """Whole or not at all, with the owner and mode that the file had."""
    fresh = template.with_suffix(".groundwork")
    fresh.write_text(text, encoding="utf-8")
    module.atomic_move(str(fresh), str(template), keep_dest_attrs=True)


if __name__ == "__main__":
    main()
