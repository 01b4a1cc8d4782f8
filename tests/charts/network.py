"""A model of NetworkPolicies: which connections they let through.

As the API defines it: a pod that no policy selects for a direction may do anything there; one that
is selected may do what any of its policies allows. A connection needs both ends' consent.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

from tests.charts.helm import Object


@dataclass(frozen=True)
class End:
    """One end of a connection: a pod with labels in a namespace, or an address elsewhere."""

    name: str
    address: str
    namespace: str = ""
    labels: dict[str, str] = field(default_factory=dict, hash=False)

    def found_by(self, selector: Object) -> bool:
        """Whether a pod selector finds it."""
        return bool(self.namespace) and _fits(selector, self.labels)


def allowed(
    policies: list[Object], home: str, source: End, target: End, port: int, protocol: str = "TCP"
) -> bool:
    """Whether the policies of the namespace `home` let `source` open this connection."""
    ends = (("Egress", source, target), ("Ingress", target, source))
    return all(
        _consents(policies, home, direction, own, other, port, protocol)
        for direction, own, other in ends
    )


def _consents(
    policies: list[Object],
    home: str,
    direction: str,
    own: End,
    other: End,
    port: int,
    protocol: str,
) -> bool:
    bound = [
        policy["spec"]
        for policy in policies
        if own.namespace == home
        and own.found_by(policy["spec"]["podSelector"])
        and direction in policy["spec"]["policyTypes"]
    ]
    side = {"Egress": "to", "Ingress": "from"}[direction]
    return not bound or any(
        _names(rule.get(side), home, other) and _opens(rule.get("ports"), port, protocol)
        for spec in bound
        for rule in spec.get(direction.lower(), [])
    )


def _names(peers: list[Object] | None, home: str, end: End) -> bool:
    return not peers or any(_is(peer, home, end) for peer in peers)


def _is(peer: Object, home: str, end: End) -> bool:
    if "ipBlock" in peer:
        address, block = ip_address(end.address), peer["ipBlock"]
        return address in ip_network(block["cidr"]) and not any(
            address in ip_network(part) for part in block.get("except", [])
        )
    if "namespaceSelector" in peer:
        names = {"kubernetes.io/metadata.name": end.namespace}
        at_home = bool(end.namespace) and _fits(peer["namespaceSelector"], names)
    else:
        at_home = end.namespace == home
    return at_home and end.found_by(peer.get("podSelector", {}))


def _opens(ports: list[Object] | None, port: int, protocol: str) -> bool:
    return not ports or any(
        each.get("protocol", "TCP") == protocol and each.get("port", port) == port for each in ports
    )


def _fits(selector: Object, labels: dict[str, str]) -> bool:
    if "matchExpressions" in selector:
        raise NotImplementedError("the chart's policies have none")
    wanted: dict[str, str] = selector.get("matchLabels", {})
    return wanted.items() <= labels.items()
