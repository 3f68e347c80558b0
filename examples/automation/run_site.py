"""Bring a site to its declared state, follow it, print what failed as JSON: run_site.py INVENTORY [PLAYBOOK]."""

import json
import sys

import groundwork


def follow(event: groundwork.Event) -> None:
    """Say where the run is and who has trouble, while it happens."""
    if event.kind in ("play", "failed", "unreachable"):
        print(f"{event.elapsed_seconds:7.1f} s  {event.play}  {event.host} {event.message}".rstrip(), file=sys.stderr)


inventory, playbook = [*sys.argv[1:], "site.yml"][:2]
result = groundwork.run(playbook, inventory, on_event=follow)
faults = [{"host": f.host, "what": f.check or f.task, "found": f.message, "remedy": f.remedy} for f in result.failures]
print(json.dumps({"ok": result.ok, "changed": result.changed, "faults": faults}, indent=2))
sys.exit(0 if result.ok else 1)
