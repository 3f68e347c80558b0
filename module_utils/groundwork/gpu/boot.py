"""What a host's GPUs shall be, applied at a boot by the same code that a run of Ansible applies it by.

    python -m ansible.module_utils.groundwork.gpu.boot NAME

A driver forgets most of what it is told when it is loaded anew. So module gpu_boot_unit puts this file, with all that
it imports, and a declaration for each NAME on the host, and a unit of systemd that runs it.

The exit status is 0 when the GPUs are as declared, 1 when they are not, with what is wrong and the remedy on stderr.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible.module_utils.groundwork import child
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.gpu import nvml
from ansible.module_utils.groundwork.gpu.mig import declare as mig
from ansible.module_utils.groundwork.gpu.settings import declare as settings
from ansible.module_utils.groundwork.waiting import Waiter

DECLARATIONS = Path("/etc/groundwork/boot")
WAIT_SECONDS = 60.0
"""For a driver that is still being loaded. Where there is none, the services that come after this wait as long."""
ANSWER_SECONDS = 10.0

WORKERS: Mapping[str, Callable[..., Mapping[str, Any]]] = {"mig": mig.declare, "settings": settings.declare}
"""By the name of a declaration, in the order of a boot: what it takes are the arguments there, and `change`."""

AGAIN = "Run playbooks/gpu.yml, which writes it anew."


def main(arguments: Sequence[str] | None = None, library: Any = None, waiter: Waiter | None = None) -> int:
    """Apply what is declared under one name; `library` stands in for pynvml in tests."""
    names = list(sys.argv[1:] if arguments is None else arguments)
    if len(names) != 1 or names[0] not in WORKERS:
        print(f"usage: boot {'|'.join(WORKERS)}", file=sys.stderr)
        return 2
    try:
        for line in apply(names[0], DECLARATIONS, library, waiter or Waiter(WAIT_SECONDS)):
            print(line)
    except GroundworkError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def apply(name: str, directory: Path, library: Any, waiter: Waiter) -> list[str]:
    """What was done, a step a line.

    Raises GroundworkError where the declaration cannot be read, or the GPUs are not as declared now.
    """
    given = read(directory / f"{name}.json")
    waiter.until(lambda: _answers(library), bool)
    result = WORKERS[name](**given, change=True, library=library)
    waits = [f"{one['gpu']}: {one['reason']}" for one in result.get("reset_required", [])]
    if waits:
        raise GroundworkError(f"A reset is needed: {'; '.join(waits)}", nvml.REMEDIES["ResetRequired"])
    return list(result["actions"]) or ["Nothing to do: the GPUs are as declared."]


def read(path: Path) -> dict[str, Any]:
    """The arguments that a worker is given.

    Raises GroundworkError where there are none.
    """
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise GroundworkError(f"There is no declaration in {path}: {error}", AGAIN) from None
    if not isinstance(given, dict):
        raise GroundworkError(f"{path} is no JSON object", AGAIN)
    return given


def _answers(library: Any) -> bool:
    """Whether the driver does; why not is for the worker to say."""
    try:
        return child.call(lambda: _opened(library), ANSWER_SECONDS, "the NVIDIA driver")
    except GroundworkError:
        return False


def _opened(library: Any) -> bool:
    with nvml.session(library):
        return True


if __name__ == "__main__":
    sys.exit(main())
