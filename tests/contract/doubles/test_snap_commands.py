"""The double of `snap` says and ends with what snapd does; a host's systemd is a script here."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[3] / "lab/doubles/snapd/package/usr/lib/snapd"
COMMAND = """
import sys
sys.path.insert(0, sys.argv.pop(1))
from snap_double.cli import main
sys.exit(main("snap", sys.argv[1:]))
"""
SYSTEMCTL = """#!/bin/sh
# remembers what is enabled and active in files; mounts by copying
units="$SNAP_DOUBLE_ROOT/etc/systemd/system"; state="$SNAP_DOUBLE_ROOT/systemd"; mkdir -p "$state"
verb=$1; shift
for unit in "$@"; do case "$verb $unit" in
  *" --"*) ;;
  "is-enabled "*) [ -e "$state/enabled-$unit" ] && echo enabled || echo disabled ;;
  "is-active "*) [ -e "$state/active-$unit" ] && echo active || echo inactive ;;
  "enable "*) touch "$state/enabled-$unit" ;;
  "disable "*) rm -f "$state/enabled-$unit" ;;
  "stop "*) rm -f "$state/active-$unit" ;;
  "restart "*.mount) cp -r "$(sed -n s/^What=//p "$units/$unit")/." "$(sed -n s/^Where=//p "$units/$unit")" ;;
  *) touch "$state/active-$unit" ;;
esac; done
"""
APPS = {
    "app": {"command": "bin/app"},
    "daemon-a": {"command": "bin/app a", "daemon": "simple"},
    "daemon-b": {"command": "bin/app b", "daemon": "notify", "stop-mode": "sigterm", "after": ["daemon-a"]},
}

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="snap changes the system for root alone")


@dataclass(frozen=True)
class Host:
    """A folder that stands for a host's file system."""

    root: Path

    def snap(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run `snap`."""
        environment = {"SNAP_DOUBLE_ROOT": str(self.root), "PATH": f"{self.root}/usr/bin:{os.environ['PATH']}"}
        command = [sys.executable, "-I", "-c", COMMAND, str(PACKAGE), *words]
        return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)

    def make(self, name: str, **metadata: object) -> Path:
        """Lay a snap file down, its contents where the lab shares them, and its assertion beside it."""
        file = self.root / f"{name}.snap"
        file.write_text(f"{name} {metadata}")
        digest = hashlib.sha3_384(file.read_bytes())
        contents = self.root / "usr/lib/lab/snap-contents" / digest.hexdigest()
        (contents / "meta/hooks").mkdir(parents=True)
        meta = {"name": name, "version": "1.0", "summary": "A snap", **metadata}
        (contents / "meta/snap.yaml").write_text(json.dumps(meta))
        file.with_suffix(".assert").write_text(
            self._assertions(name, base64.urlsafe_b64encode(digest.digest()).decode())
        )
        return file

    def hook(self, file: Path, name: str, script: str) -> None:
        """Give a snap a hook."""
        digest = hashlib.sha3_384(file.read_bytes()).hexdigest()
        hook = self.root / "usr/lib/lab/snap-contents" / digest / "meta/hooks" / name
        hook.write_text(f"#!/bin/sh\n{script}\n")
        hook.chmod(0o755)

    def installed(self, name: str, **metadata: object) -> Path:
        """Make and install a snap with classic confinement."""
        file = self.make(name, confinement="classic", **metadata)
        assert self.snap("ack", f"{file.with_suffix('.assert')}").returncode == 0
        done = self.snap("install", "--classic", str(file))
        assert done.returncode == 0, done.stderr
        return file

    def _assertions(self, name: str, digest: str) -> str:
        declaration = f"type: snap-declaration\nsnap-id: {name}-id\nsnap-name: {name}"
        revision = f"type: snap-revision\nsnap-sha3-384: {digest}\nsnap-id: {name}-id\nsnap-revision: 7"
        return "\n".join(self._signed(text) for text in (declaration, revision))

    def _signed(self, text: str) -> str:
        (self.root / "text").write_text(text)
        sign = ["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", f"{self.root}/key", "-in", f"{self.root}/text"]
        signature = subprocess.run(sign, capture_output=True, check=True).stdout
        return f"{text}\n\n{base64.b64encode(signature).decode()}\n"


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Host]:
    for folder in ("etc/systemd/system", "etc/lab", "run", "usr/bin", "usr/lib/lab/snap-contents", "var/snap", "snap"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "usr/bin/systemctl").write_text(SYSTEMCTL)
    (tmp_path / "usr/bin/systemctl").chmod(0o755)
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", f"{tmp_path}/key"], check=True)
    public = tmp_path / "usr/lib/lab/snap-contents/assertion.pub"
    subprocess.run(["openssl", "pkey", "-in", f"{tmp_path}/key", "-pubout", "-out", f"{public}"], check=True)
    here = Path.cwd()
    os.chdir(tmp_path)  # a socket's path has a limit
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("run/snapd.socket")
        server.listen(64)
        os.chdir(here)
        yield Host(tmp_path)


@pytest.fixture
def host(bare: Host) -> Host:
    """A host whose snapd has its own snap, as it has from the first app on."""
    bare.installed("snapd", type="snapd")
    return bare


def result(done: subprocess.CompletedProcess[str]) -> tuple[int, str, str]:
    return done.returncode, done.stdout, done.stderr


# --- list, version, info ----------------------------------------------------------------------------------------------


def test_nothing_installed_is_no_failure(bare: Host) -> None:
    assert result(bare.snap("list")) == (0, "", "No snaps are installed yet. Try 'snap install hello-world'.\n")


def test_a_snap_that_is_not_installed_is_one(host: Host) -> None:
    assert result(host.snap("list", "microk8s")) == (1, "", "error: no matching snaps installed\n")


def test_list_has_columns_as_snapd_aligns_them(host: Host) -> None:
    host.installed("core22", type="base")
    host.installed("microk8s", apps=APPS)
    assert host.snap("list").stdout == (
        "Name      Version  Rev  Tracking  Publisher    Notes\n"
        "core22    1.0      7    -         canonical**  base,classic\n"
        "microk8s  1.0      7    -         canonical**  classic\n"
        "snapd     1.0      7    -         canonical**  snapd,classic\n"
    )


def test_version_has_the_rows_that_others_parse(host: Host) -> None:
    first, second, *_ = host.snap("version").stdout.splitlines()
    assert (first.split()[0], second.split()[0], first.split()[1]) == ("snap", "snapd", second.split()[1])


def test_info_of_what_is_nowhere(host: Host) -> None:
    assert result(host.snap("info", "foo")) == (1, "", 'error: no snap found for "foo"\n')


def test_without_snapd_nothing_answers(host: Host) -> None:
    (host.root / "run/snapd.socket").unlink()
    assert host.snap("list").stderr.startswith("error: cannot communicate with server: ")


# --- install ----------------------------------------------------------------------------------------------------------


def test_install_says_what_it_installed_and_warns_of_the_path(host: Host) -> None:
    file = host.make("microk8s", confinement="classic", apps=APPS)
    host.snap("ack", f"{file.with_suffix('.assert')}")
    done = host.snap("install", "--classic", str(file))
    assert (done.returncode, done.stdout) == (0, "microk8s 1.0 from Canonical** installed\n")
    assert "was not found in your $PATH" in done.stderr


def test_a_file_without_assertion_is_refused(host: Host) -> None:
    file = host.make("microk8s")
    wanted = f'error: cannot find signatures with metadata for snap/component "{file}"\n'
    assert result(host.snap("install", str(file))) == (1, "", wanted)


def test_a_changed_file_is_refused_before_it_is_used(host: Host) -> None:
    file = host.make("microk8s")
    host.snap("ack", f"{file.with_suffix('.assert')}")
    file.write_text("something else")
    assert "cannot find signatures" in host.snap("install", str(file)).stderr


def test_a_changed_assertion_is_refused(host: Host) -> None:
    assertion = host.make("microk8s").with_suffix(".assert")
    assertion.write_text(assertion.read_text().replace("snap-revision: 7", "snap-revision: 8"))
    done = host.snap("ack", str(assertion))
    assert done.returncode == 1
    assert done.stderr.startswith("error: cannot assert: assert failed: failed signature verification")


def test_classic_confinement_wants_to_be_asked_for(host: Host) -> None:
    file = host.make("microk8s", confinement="classic")
    host.snap("ack", f"{file.with_suffix('.assert')}")
    done = host.snap("install", str(file))
    assert done.returncode == 1
    assert done.stderr.startswith(
        'error: This revision of snap "microk8s" was published using classic confinement and thus may'
    )


def test_without_its_base_and_a_store_a_snap_is_not_installed(host: Host) -> None:
    file = host.make("microk8s", base="core22")
    host.snap("ack", f"{file.with_suffix('.assert')}")
    done = host.snap("install", str(file))
    assert done.returncode == 1
    assert done.stderr.startswith(
        'error: cannot perform the following tasks:\n- Ensure prerequisites for "microk8s" are'
    )
    assert '(cannot install snap base "core22": unable to contact snap store)' in done.stderr


def test_installing_again_by_name_changes_nothing(host: Host) -> None:
    host.installed("microk8s")
    wanted = "snap \"microk8s\" is already installed, see 'snap help refresh'\n"
    assert result(host.snap("install", "microk8s", "--classic", "--channel", "9.9")) == (0, "", wanted)


def test_a_failing_hook_undoes_the_installation(host: Host) -> None:
    file = host.make("microk8s", apps=APPS)
    host.hook(file, "install", "echo no space; exit 3")
    host.snap("ack", f"{file.with_suffix('.assert')}")
    done = host.snap("install", str(file))
    assert (done.returncode, done.stderr) == (
        1,
        'error: cannot perform the following tasks:\n- Run install hook of "microk8s" snap if present '
        '(run hook "install":\n-----\nno space\n-----)\n',
    )
    assert "microk8s" not in host.snap("list").stdout
    assert not (host.root / "var/snap/microk8s").exists()


def test_hooks_run_in_order_in_the_snaps_environment(host: Host) -> None:
    file = host.make("microk8s", apps=APPS)
    for hook in ("install", "configure", "remove"):
        host.hook(file, hook, f'echo {hook} $SNAP_REVISION >> "$SNAP_COMMON/../../log"')
    host.snap("ack", f"{file.with_suffix('.assert')}")
    host.snap("install", str(file))
    host.snap("remove", "--purge", "microk8s")
    assert (host.root / "var/snap/log").read_text() == "install 7\nconfigure 7\nremove 7\n"


# --- remove, refresh, hold --------------------------------------------------------------------------------------------


def test_remove_takes_everything_away(host: Host) -> None:
    host.installed("microk8s", apps=APPS)
    assert result(host.snap("remove", "microk8s", "--purge")) == (0, "microk8s removed\n", "")
    assert not list((host.root / "etc/systemd/system").glob("snap*microk8s*"))
    assert not (host.root / "var/snap/microk8s").exists()
    assert not (host.root / "snap/microk8s").exists()


def test_removing_what_is_not_there_is_no_failure(host: Host) -> None:
    assert result(host.snap("remove", "microk8s")) == (0, "", 'snap "microk8s" is not installed\n')


def test_a_base_in_use_stays(host: Host) -> None:
    host.installed("core22", type="base")
    host.installed("microk8s", base="core22")
    assert host.snap("remove", "core22").returncode == 1


def test_hold_is_noted_and_swallows_the_channel(host: Host) -> None:
    host.installed("microk8s")
    done = host.snap("refresh", "microk8s", "--channel=1.99", "--hold")
    assert result(done) == (0, 'General refreshes of "microk8s" held indefinitely\n', "")
    assert host.snap("list", "microk8s").stdout.splitlines()[1].split()[3:] == ["-", "canonical**", "classic,held"]
    assert host.snap("refresh", "--hold", "microk8s").returncode == 0
    assert host.snap("refresh", "--hold=2h", "microk8s").stdout.startswith(
        'General refreshes of "microk8s" held until '
    )
    assert host.snap("refresh", "--unhold", "microk8s").stdout == 'Removed general refresh hold of "microk8s"\n'


def test_refresh_of_what_is_not_installed(host: Host) -> None:
    assert result(host.snap("refresh", "microk8s")) == (1, "", 'error: snap "microk8s" is not installed\n')


def test_switch_sets_what_is_tracked(host: Host) -> None:
    host.installed("microk8s")
    assert host.snap("switch", "microk8s", "--channel=1.36").stdout.startswith(
        '"microk8s" switched to the "1.36/stable" channel'
    )
    assert "1.36/stable" in host.snap("list").stdout


# --- services ---------------------------------------------------------------------------------------------------------


def test_services_are_listed_with_their_state(host: Host) -> None:
    host.installed("microk8s", apps=APPS)
    host.snap("stop", "--disable", "microk8s.daemon-a")
    assert host.snap("services", "microk8s").stdout == (
        "Service            Startup   Current   Notes\n"
        "microk8s.daemon-a  disabled  inactive  -\n"
        "microk8s.daemon-b  enabled   active    -\n"
    )


@pytest.mark.parametrize(("verb", "word"), [("start", "Started."), ("stop", "Stopped."), ("restart", "Restarted.")])
def test_services_are_told_in_one_word(host: Host, verb: str, word: str) -> None:
    host.installed("microk8s", apps=APPS)
    assert result(host.snap(verb, "microk8s.daemon-a")) == (0, f"{word}\n", "")


def test_services_that_are_not_there(host: Host) -> None:
    assert result(host.snap("stop", "microk8s")) == (1, "", 'error: snap "microk8s" not found\n')
    host.installed("microk8s", apps=APPS)
    wanted = 'error: snap "microk8s" has no service "daemon-x"\n'
    assert result(host.snap("restart", "microk8s.daemon-x")) == (1, "", wanted)


def test_containers_outlive_a_service_that_stops_by_sigterm(host: Host) -> None:
    host.installed("microk8s", apps=APPS)
    unit = (host.root / "etc/systemd/system/snap.microk8s.daemon-b.service").read_text()
    assert "KillMode=process" in unit
    assert "Type=notify" in unit
    assert "ExecStart=/usr/bin/snap run microk8s.daemon-b" in unit
    assert "snap.microk8s.daemon-a.service" in unit.partition("After=")[2].splitlines()[0]


# --- options, waiting, faults -----------------------------------------------------------------------------------------


def test_options_are_kept_as_json_or_text(host: Host) -> None:
    host.installed("microk8s")
    assert result(host.snap("get", "microk8s")) == (1, "", 'error: snap "microk8s" has no configuration\n')
    assert result(host.snap("get", "-d", "microk8s")) == (0, "{}\n", "")
    assert result(host.snap("set", "microk8s", "config=a: b\nc: d", "n=3")) == (0, "", "")
    assert json.loads(host.snap("get", "-d", "microk8s").stdout) == {"config": "a: b\nc: d", "n": 3}
    assert host.snap("get", "microk8s", "config").stdout == "a: b\nc: d\n"


def test_options_of_what_is_not_installed(host: Host) -> None:
    assert result(host.snap("set", "microk8s", "a=b")) == (1, "", 'error: snap "microk8s" is not installed\n')
    assert result(host.snap("get", "-d", "microk8s")) == (0, "{}\n", "")


def test_waiting_for_the_seed_says_nothing(host: Host) -> None:
    (host.root / "var/lib/snapd/seeded").touch()
    assert result(host.snap("wait", "system", "seed.loaded")) == (0, "", "")


def test_a_busy_snap_refuses_changes(host: Host) -> None:
    host.installed("microk8s", apps=APPS)
    (host.root / "etc/lab/snapd.json").write_text('{"busy": {"microk8s": "auto-refresh"}}')
    wanted = 'error: snap "microk8s" has "auto-refresh" change in progress\n'
    assert result(host.snap("restart", "microk8s")) == (10, "", wanted)
    assert host.snap("remove", "microk8s").returncode == 10
    assert host.snap("list", "microk8s").returncode == 0


def test_an_unknown_flag_has_a_status_of_its_own(host: Host) -> None:
    assert host.snap("install", "x", "--no-such-flag").returncode == 64
