"""The command script/lab."""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

from lab import faults, hosts, inventory, lifecycle, model, namespace, podman, rootfs, share, snapshots
from lab.errors import LabError
from lab.model import Gpus, Host, Lab
from lab.status import status, table

USAGE_ERROR = 2
_HOST = "NAME[=OS][,gpus=MODELxN[,switches=N]][,memory=MIB]"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; the exit status is 0, 1 (the answer is no) or 2 (it cannot be done, and why)."""
    options = parse(sys.argv[1:] if arguments is None else arguments)
    try:
        status_code: int = options.run(options)
    except LabError as error:
        _say_error(error, as_json=options.json)
        return USAGE_ERROR
    except KeyboardInterrupt:
        print("\nInterrupted; run the same command again, and it goes on.", file=sys.stderr)
        return 130
    return status_code


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line; what follows the first -- is a host's command as it stands, further -- included.

    argparse by itself would take one more of them away.
    """
    words = list(arguments)
    end = words.index("--") if "--" in words else len(words)
    options = parser().parse_args(words[:end])
    if command := words[end + 1 :]:
        if not hasattr(options, "command"):
            parser().error("only `shell` takes a command after --")
        options.command = [*options.command, *command]
    return options


def parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    about = "Several hosts on one machine, with a site mirror: containers, reached over SSH like servers."
    top = argparse.ArgumentParser(prog="script/lab", description=about)
    verbs = top.add_subparsers(required=True, metavar="VERB")
    for name, (run, help_text, add_arguments) in VERBS.items():
        verb = verbs.add_parser(name, parents=[_common()], help=help_text, description=help_text)
        verb.set_defaults(run=run)
        add_arguments(verb)
    return top


def _common() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--lab", default=lifecycle.DEFAULT_LAB, metavar="NAME", help="which lab (default: %(default)s)")
    common.add_argument("--json", action="store_true", help="print the result as JSON")
    return common


def _up_arguments(verb: argparse.ArgumentParser) -> None:
    systems = ", ".join(rootfs.SYSTEMS)
    help_text = f"a host, may be repeated; OS is one of {systems}; default: n1, and n2 and n3 with GPUs"
    verb.add_argument("--host", action="append", default=[], type=host_argument, metavar=_HOST, help=help_text)
    verb.add_argument("--no-mirror", action="store_true", help="without a site mirror")


def _status_arguments(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--memory", action="store_true", help="also the memory of each host (PSS)")


def _shell_arguments(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--console", action="store_true", help="not over SSH but from outside, as at a server's console")
    verb.add_argument("host")
    verb.add_argument("command", nargs="*")


def _host_arguments(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("host")


def _snapshot_arguments(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("action", choices=("save", "restore", "list", "delete"))
    verb.add_argument("stage", nargs="?", default="")


def _fault_arguments(verb: argparse.ArgumentParser) -> None:
    verb.formatter_class = argparse.RawDescriptionHelpFormatter
    verb.epilog = "\n".join(
        f"  {' '.join((name, *each.takes))}\n      {each.help}" for name, each in faults.FAULTS.items()
    )
    verb.add_argument("kind", help="see below")
    verb.add_argument("arguments", nargs="*")


def _build_arguments(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("part", nargs="*")


def _no_arguments(verb: argparse.ArgumentParser) -> None:
    """For verbs that take none of their own."""


def host_argument(text: str) -> Host:
    """Read a host such as n1=debian-12,gpus=H100-80GBx2,switches=4,memory=4096."""
    first, *settings = text.split(",")
    name, _, system = first.partition("=")
    values = dict(setting.partition("=")[::2] for setting in settings)
    memory = values.pop("memory", None)
    gpus = gpus_argument(values.pop("gpus", ""), values.pop("switches", ""))
    host = Host(name, system or rootfs.DEFAULT, "", gpus, _count(memory) if memory else None)
    if values:
        raise argparse.ArgumentTypeError(f"a host has no {next(iter(values))!r}; write {_HOST}")
    return host


def gpus_argument(text: str, switches: str = "") -> Gpus | None:
    """Read GPUs such as H100-80GBx2, and how many NVSwitches connect them; an empty text is none."""
    model_name, _, count = text.rpartition("x")
    if not text and switches:
        raise argparse.ArgumentTypeError("switches connect GPUs; write gpus=MODELxN, too")
    if not text:
        return None
    if not model_name:
        raise argparse.ArgumentTypeError(f"{text!r} says no number of GPUs; write MODELxN, such as H100-80GBx2")
    return Gpus(model_name, _count(count), _count(switches) if switches else 0)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return int(text)


def _up(options: argparse.Namespace) -> int:
    lab = lifecycle.up(options.lab, options.host, with_mirror=not options.no_mirror)
    found = status(lab)
    _print(options, found, table(found))
    return 0


def _down(options: argparse.Namespace) -> int:
    was_there = lifecycle.down(options.lab)
    _print(
        options, {"ok": True, "removed": was_there}, f"lab {options.lab}: {'removed' if was_there else 'there is none'}"
    )
    return 0


def _status(options: argparse.Namespace) -> int:
    found = status(_lab(options), with_memory=options.memory)
    _print(options, found, table(found))
    return 0 if found["ok"] else 1


def _shell(options: argparse.Namespace) -> int:
    lab = _lab(options)
    host = lab.host(options.host)
    if options.console:
        with namespace.held():
            terminal = ["--interactive", "--tty"] if sys.stdin.isatty() else []
            return podman.attached("exec", *terminal, lab.container(host.name), *(options.command or ["bash"]))
    terminal = ["-t"] if sys.stdin.isatty() else []
    command = [shlex.join(options.command)] if options.command else []
    first, *rest = hosts.ssh(lab, host)
    return subprocess.run([first, *terminal, *rest, *command]).returncode


def _reboot(options: argparse.Namespace) -> int:
    lab = _lab(options)
    hosts.reboot(lab, lab.host(options.host))
    _print(options, {"ok": True, "host": options.host}, f"{options.host} is back")
    return 0


def _snapshot(options: argparse.Namespace) -> int:
    lab = _lab(options)
    if options.action != "list":
        if not options.stage:
            raise LabError(
                f"snapshot {options.action} needs the name of a stage", f"script/lab snapshot {options.action} STAGE"
            )
        {"save": snapshots.save, "restore": snapshots.restore, "delete": snapshots.delete}[options.action](
            lab, options.stage
        )
    stages = snapshots.stages(lab)
    _print(options, {"ok": True, "stages": stages}, "\n".join(stages) or "no stages")
    return 0


def _fault(options: argparse.Namespace) -> int:
    faults.provoke(_lab(options), options.kind, options.arguments)
    _print(options, {"ok": True, "fault": options.kind, "arguments": options.arguments}, "done")
    return 0


def _share(options: argparse.Namespace) -> int:
    variables = inventory.shared(share.serve(_lab(options), options.host))
    text = "\n".join(f"{name}: {value}" for name, value in variables.items())
    _print(options, {"ok": True, "variables": variables}, text)
    return 0


def _build(options: argparse.Namespace) -> int:
    from lab import build  # builds everything there is, and so imports every module that can build

    build.build(options.part or None)
    namespace.release()
    _print(options, {"ok": True}, "built")
    return 0


def _inventory(options: argparse.Namespace) -> int:
    lab = _lab(options)
    path = inventory.write(lab)
    _print(
        options,
        {"ok": True, "path": str(path), "inventory": inventory.content(lab)},
        (path / "hosts.yml").read_text().rstrip(),
    )
    return 0


def _lab(options: argparse.Namespace) -> Lab:
    return model.existing(options.lab)


def _print(options: argparse.Namespace, data: dict[str, Any], text: str) -> None:
    print(json.dumps(data, indent=2) if options.json else text)


def _say_error(error: LabError, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"ok": False, "error": error.message, "remedy": error.remedy}, indent=2))
    else:
        print(f"error: {error.message}\nremedy: {error.remedy}", file=sys.stderr)


VERBS: dict[str, tuple[Callable[[argparse.Namespace], int], str, Callable[[argparse.ArgumentParser], None]]] = {
    "up": (_up, "raise the lab, or what of it does not run, or add hosts to it", _up_arguments),
    "down": (_down, "remove the lab, and nothing else", _no_arguments),
    "status": (_status, "show hosts, addresses and states", _status_arguments),
    "shell": (_shell, "open a shell on a host, or run a command there: shell HOST [-- COMMAND...]", _shell_arguments),
    "reboot": (_reboot, "reboot a host from inside and wait until it is back", _host_arguments),
    "snapshot": (_snapshot, "save the hosts as a stage, bring one back, list them, delete one", _snapshot_arguments),
    "fault": (_fault, "break something; `fault clear` mends all", _fault_arguments),
    "share": (_share, "serve a network filesystem from a host, which the lab's inventory mounts", _host_arguments),
    "build": (_build, "build what labs are made of, or the named parts", _build_arguments),
    "inventory": (_inventory, "print the lab's inventory for Ansible; with --json where it is, too", _no_arguments),
}
