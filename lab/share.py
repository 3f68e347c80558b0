"""A network filesystem for a lab: one host serves, the others mount, as a site's storage would.

The lab's kernel has no NFS, so it is GlusterFS, whose clients mount by FUSE. Root's rights are squashed, as NFS servers
do by default. The lab's inventory mounts it.
"""

from __future__ import annotations

from dataclasses import replace

from lab import hosts, inventory
from lab.errors import LabError
from lab.model import Lab
from lab.progress import step
from lab.run import run

VOLUME = inventory.VOLUME
SECONDS = 300
# With stat-prefetch a renamed file is found by its old name as long as somebody looks. The brick's folder belongs to
# whom root becomes. Nothing here waits: what is not there yet, the next line makes.
_SERVE = """\
set -eu
volume=$1 brick=/var/lib/$1/brick
{
    if ! command -v glusterd > /dev/null; then
        apt-get -qq update
        DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends --yes glusterfs-server
    fi
    systemctl enable --quiet --now glusterd
    if ! gluster volume info "$volume" > /dev/null 2>&1; then
        install -d -o 65534 -g 65534 "$brick"
        gluster --mode=script volume create "$volume" "$(hostname):$brick" force
        gluster volume set "$volume" server.root-squash on
        gluster volume set "$volume" performance.stat-prefetch off
    fi
    gluster volume info "$volume" | grep -q '^Status: Started' || gluster volume start "$volume"
} < /dev/null
"""


def serve(lab: Lab, host: str) -> Lab:
    """Have a host serve the lab's network filesystem; from now on the lab's inventory mounts it.

    Raises:
        LabError: the lab has no mirror to install from, or the host does not come to serve.
    """
    if not lab.mirror:
        raise LabError(f"lab {lab.name} has no mirror to install from", "raise it without --no-mirror")
    with step(f"Serve a network filesystem from {host}"):
        run([*hosts.ssh(lab, lab.host(host)), "sh", "-s", "--", VOLUME], stdin=_SERVE, timeout=SECONDS)
    lab = replace(lab, share=host)
    lab.save()
    inventory.write(lab)
    return lab
