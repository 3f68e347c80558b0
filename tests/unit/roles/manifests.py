"""What is asked of manifests, whatever role they are of."""

from __future__ import annotations

import json
from typing import Any

import kubernetes


def pod_of(found: dict[str, Any]) -> dict[str, Any] | None:
    """The pod's specification of a workload; None where there is none."""
    spec = found.get("spec", {})
    spec = spec.get("jobTemplate", {}).get("spec", spec)
    template: dict[str, Any] | None = spec.get("template")
    return template["spec"] if template else None


def containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    """All containers of a pod, in the order in which they begin."""
    return [*pod.get("initContainers", ()), *pod["containers"]]


def unknown(wanted: Any, known: Any, place: str) -> list[str]:
    """Places of fields that are not in what Kubernetes's client made of them."""
    if isinstance(wanted, dict) and isinstance(known, dict):
        missing = [f"{place}.{key}" for key in wanted if key not in known]
        both = wanted.keys() & known
        return missing + [fault for key in both for fault in unknown(wanted[key], known[key], f"{place}.{key}")]
    if isinstance(wanted, list) and isinstance(known, list):
        pairs = enumerate(zip(wanted, known, strict=True))
        return [fault for number, (one, other) in pairs for fault in unknown(one, other, f"{place}[{number}]")]
    return []


def with_quantities_as_text(found: Any) -> Any:
    """The same with numbers among resources as texts: Kubernetes takes either, its client's classes take texts."""
    if isinstance(found, list):
        return [with_quantities_as_text(each) for each in found]
    if not isinstance(found, dict):
        return found
    return {
        key: {name: str(amount) for name, amount in each.items()}
        if key in {"limits", "requests", "hard"} and isinstance(each, dict)
        else with_quantities_as_text(each)
        for key, each in found.items()
    }


def unknown_fields(wanted: dict[str, Any], model: str = "") -> list[str]:
    """Places of fields that Kubernetes does not know; its client refuses what lacks something.

    model  the client's class, where it is not the one of the object's kind: V1PodSpec
    """
    model = model or f"V1{wanted['kind']}"
    api = kubernetes.client.ApiClient()
    known = api.sanitize_for_serialization(
        api.deserialize(json.dumps(with_quantities_as_text(wanted)), model, "application/json")
    )
    return unknown(wanted, known, model)
