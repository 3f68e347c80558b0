"""What the job of a proof runs on a worker of Ray: says, as JSON, which GPUs it sees and what Ray counts.

It is sent as a job's entrypoint, so it is one file without anything of ours beside it.
"""

import json
import subprocess


def listed(text: str) -> list[str]:
    """The UUIDs that `nvidia-smi -L` lists; a GPU that is cut into MIG devices is none itself."""
    uuids = [line.rsplit("UUID: ", 1)[1].rstrip(")") for line in text.splitlines() if "UUID: " in line]
    return [uuid for uuid in uuids if uuid.startswith("MIG-")] or uuids


def seen() -> list[str]:
    """The UUIDs of the devices that this container has; none without the driver's programs."""
    try:
        done = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False, timeout=60)
    except FileNotFoundError:
        return []
    return listed(done.stdout)


def main() -> None:
    """Tell of this worker, and of the head as Ray counts it."""
    import ray

    ray.init(logging_level="error")
    nodes = {node["NodeID"]: node["Resources"] for node in ray.nodes() if node["Alive"]}
    here = ray.get_runtime_context().get_node_id()
    heads = [resources for resources in nodes.values() if "node:__internal_head__" in resources]
    print(
        json.dumps(
            {
                "uuids": seen(),
                "counted": nodes[here].get("GPU", 0),
                "on_head": "node:__internal_head__" in nodes[here],
                "head": sum(head.get("GPU", 0) for head in heads),
            }
        )
    )


if __name__ == "__main__":
    main()
