"""What MicroK8s and snapd really print, by where it was read.

snapd 2.63 without a terminal; microk8s scripts/wrappers/{status,join,leave,add_token}.py of the 1.36 line.
"""

from __future__ import annotations

import re

LIST = """\
Name      Version  Rev   Tracking     Publisher    Notes
microk8s  v1.36.1  9001  1.36/stable  canonical**  classic,held
"""
LIST_WITH_LOG = """\
2023-03-06T11:39:57-05:00 INFO Waiting for automatic snapd restart...
Name      Version   Rev    Tracking       Publisher    Notes
core22    20240731  1586   latest/stable  canonical**  base
microk8s  v1.31.3   7449   1.31/stable    canonical**  classic
"""
LIST_FROM_FILE = """\
Name      Version  Rev  Tracking  Publisher  Notes
microk8s  v1.36.1  x1   -         -          disabled,classic
"""
LIST_ABSENT = "error: no matching snaps installed\n"
LIST_NO_DAEMON = "error: cannot communicate with server: Get http://localhost/v2/snaps: dial unix /run/snapd.socket\n"

SERVICES = """\
Service                           Startup  Current   Notes
microk8s.daemon-apiserver-kicker  enabled  active    -
microk8s.daemon-apiserver-proxy   enabled  inactive  -
microk8s.daemon-cluster-agent     enabled  active    -
microk8s.daemon-containerd        enabled  active    -
microk8s.daemon-etcd              enabled  inactive  -
microk8s.daemon-flanneld          enabled  inactive  -
microk8s.daemon-k8s-dqlite        enabled  active    -
microk8s.daemon-kubelite          enabled  active    -
"""
SERVICES_STOPPED = re.sub(r"enabled  (in)?active +", "disabled  inactive  ", SERVICES)

CHANGES = """\
ID   Status  Spawn               Ready               Summary
41   Done    today at 10:01 UTC  today at 10:02 UTC  Install "microk8s" snap from "1.36/stable" channel
42   Doing   today at 10:03 UTC  -                   Running service command
"""
CHANGES_DONE = """\
ID   Status  Spawn               Ready               Summary
41   Done    today at 10:01 UTC  today at 10:02 UTC  Install "microk8s" snap from "1.36/stable" channel
40   Error   today at 10:01 UTC  today at 10:02 UTC  Refresh "microk8s" snap
"""

STATUS = """\
microk8s:
  running: True
high-availability:
  enabled: False
  nodes:
    - address: 10.77.0.11:19001
      role: voter
    - address: 10.77.0.12:19001
      role: spare
addons:
  - name: dns
    repository: core
    description: CoreDNS
    version: 1.14.7
    status: enabled
  - name: ha-cluster
    repository: core
    description: Configure high availability on the current node
    version: 1.0
    status: enabled
  - name: nvidia
    repository: core
    description: NVIDIA hardware (GPU and network) support
    version:
    status: disabled
"""
STATUS_HA = """\
microk8s:
  running: True
high-availability:
  enabled: True
  nodes:
    - address: 10.77.0.11:19001
      role: voter
    - address: 10.77.0.12:19001
      role: voter
    - address: 10.77.0.13:19001
      role: voter
    - address: 10.77.0.14:19001
      role: standby
addons:
"""
STATUS_NOT_READY = """\
microk8s:
  running: False
high-availability:
  enabled: False
  nodes:
    - address: 127.0.0.1:19001
      role: voter
  message: microk8s is not running. Use microk8s inspect for a deeper inspection.
"""
STATUS_NO_DATASTORE = """\
microk8s:
  running: False
high-availability:
  enabled: False
  nodes:
  message: microk8s is not running. Use microk8s inspect for a deeper inspection.
"""
STATUS_STOPPED = "microk8s is not running, try microk8s start\n"
STATUS_WORKER = """\
This MicroK8s deployment is acting as a node in a cluster.
Please use the control plane node.
"""
STATUS_NO_PERMISSION = """\
Insufficient permissions to access MicroK8s.
You can either try again with sudo or add the user ada to the 'microk8s' group:

    sudo usermod -a -G microk8s ada
    sudo chown -R ada ~/.kube
"""
STATUS_TRACEBACK = """\
Traceback (most recent call last):
  File "/snap/microk8s/9001/scripts/wrappers/status.py", line 243, in <module>
FileNotFoundError: [Errno 2] No such file or directory: '/var/snap/microk8s/9001/var/kubernetes/backend/info.yaml'
"""

KUBECTL_WORKER = (
    "This MicroK8s deployment is acting as a node in a cluster. Please use the microk8s kubectl on the master.\n"
)

JOIN_BY = "5e0aa7d2a7b1c34c7d1a4f0f8a29b7c1/8f2c1a9e77d0"
ADD_NODE = f"""\
{{
  "token": "{JOIN_BY}",
  "urls": [
    "172.17.0.1:25000/{JOIN_BY}",
    "10.77.0.11:25000/{JOIN_BY}",
    "fd00::11:25000/{JOIN_BY}"
  ]
}}
"""
ADD_NODE_WORKER = (
    "This MicroK8s deployment is acting as a node in a cluster. Please use the microk8s add-node on the master.\n"
)

JOINED = """\
Contacting cluster at 10.77.0.11
Waiting for this node to finish joining the cluster. .. .. ..  
Successfully joined the cluster.
"""  # noqa: W291
JOINED_WORKER = """\
Contacting cluster at 10.77.0.11

The node has joined the cluster and will appear in the nodes list in a few seconds.

This worker node gets automatically configured with the API server endpoints.
If the API servers are behind a loadbalancer please set the '--refresh-interval' to '0s' in:
    /var/snap/microk8s/current/args/apiserver-proxy
and replace the API server endpoints with the one provided by the loadbalancer in:
    /var/snap/microk8s/current/args/traefik/provider.yaml

Successfully joined the cluster.
"""
JOIN_TRACEBACK = """\
Traceback (most recent call last):
  File "/snap/microk8s/9001/scripts/wrappers/join.py", line 1015, in <module>
    join()
ConnectionRefusedError: [Errno 111] Connection refused
"""
JOIN_BUSY = """\
error: error running snapctl: snap "microk8s" has "service-control" change in progress
Traceback (most recent call last):
  File "/snap/microk8s/9001/scripts/wrappers/common/cluster/utils.py", line 371, in service
subprocess.CalledProcessError: Command '['snapctl', 'restart', 'microk8s']' returned non-zero exit status 1.
"""
LEFT = """\
Configuring services.
Generating new cluster certificates.
Waiting for node to start. .. ..
"""
LEAVE_ONLY_VOTER = """\
This node currently holds the only copy of the Kubernetes database so it cannot leave the cluster.
To remove this node you can either first remove all other nodes with 'microk8s remove-node' or
form a highly available cluster by adding at least three nodes.
"""
