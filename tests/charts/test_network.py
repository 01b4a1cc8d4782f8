"""Who reaches whom: exactly those who must."""

import pytest

from tests.charts.helm import of_kind, pods, render
from tests.charts.network import End, allowed

HOME = "shop"
DNS = End("dns", "10.96.0.10", "kube-system", {"k8s-app": "kube-dns"})
STRANGERS = {
    End("neighbour", "10.1.0.1", HOME, {"app": "other"}),
    End("passer-by", "10.1.0.2", "elsewhere", {"app.kubernetes.io/name": "prometheus"}),
    End("kube-api", "10.96.0.1"),
    End("metadata", "169.254.169.254"),
    End("metadata-v6", "fd00:ec2::254"),
    End("other-in-monitoring", "10.1.0.3", "monitoring", {"app": "grafana"}),
}
PLATFORM = {End("platform", "157.240.20.35"), End("platform", "2a03:2880:f12f:83:face::25de")}
PROMETHEUS = End("prometheus", "10.1.1.1", "monitoring", {"app.kubernetes.io/name": "prometheus"})
NGINX = End("ingress", "10.1.1.2", "ingress-nginx", {"app.kubernetes.io/name": "ingress-nginx"})
GATEWAY = End("ingress", "10.1.1.2", "gateways", {"app": "envoy"})
MANAGED = {End("database", "10.20.0.5"), End("cache", "10.20.1.5"), End("broker", "10.20.2.5")}
IN_CLUSTER = {
    End(name, address, "services", {"app.kubernetes.io/name": program})
    for name, program, address in (
        ("database", "postgresql", "10.1.2.1"),
        ("cache", "redis", "10.1.2.2"),
        ("broker", "rabbitmq", "10.1.2.3"),
    )
}
AROUND = {
    "dev": {DNS, PROMETHEUS, NGINX, *PLATFORM},
    "staging": {DNS, PROMETHEUS, GATEWAY, *IN_CLUSTER, *PLATFORM},
    "prod": {DNS, PROMETHEUS, NGINX, *MANAGED, *PLATFORM},
}
PORTS = {
    "dev": {"database": 5432, "cache": 6379, "broker": 5672},
    "staging": {"database": 5432, "cache": 6379, "broker": 5672},
    "prod": {"database": 5432, "cache": 6380, "broker": 5671},
}
BUNDLED = {"postgresql": "database", "redis": "cache", "rabbitmq": "broker"}
WATCHED = (53, 80, 443, 5432, 5671, 5672, 6379, 6380, 8000, 8900, 9100)

# Who must: web stores, reads, wakes, and fetches a post while its caller waits; workers take work
# from the broker; analysis asks no platform; beat only sends wake-ups; the migration has nothing to
# do but with the database.
WORKERS = ("worker-analyze", "worker-send", "worker-poll", "worker-default")
OUTWARD = ("web", "worker-send", "worker-poll", "worker-default")
MUST = {
    *((who, "database") for who in ("web", *WORKERS, "migrate")),
    *((who, "cache") for who in ("web", *WORKERS)),
    *((who, "broker") for who in ("web", *WORKERS, "beat")),
}


def ends(environment: str) -> set[End]:
    """The release's own pods, and everything around them."""
    own = set()
    for number, (_name, pod) in enumerate(pods(render(environment))):
        labels = pod["metadata"]["labels"]
        name = labels["app.kubernetes.io/component"]
        own.add(End(BUNDLED.get(name, name), f"10.1.9.{number}", HOME, labels))
    return own | AROUND[environment] | STRANGERS


def connections(environment: str) -> set[tuple[str, str, int]]:
    """All that the policies let through from or to the release's pods, but for DNS."""
    policies = of_kind(render(environment), "NetworkPolicy")
    there = ends(environment)
    ours = {end for end in there if end.labels.get("app.kubernetes.io/instance")}
    return {
        (source.name, target.name, port)
        for source in there
        for target in there
        if {source, target} & ours and source != target
        for port in WATCHED
        if allowed(policies, HOME, source, target, port)
    }


def must(environment: str) -> set[tuple[str, str, int]]:
    """All that the system needs, but for DNS."""
    needed = {(who, service, PORTS[environment][service]) for who, service in MUST}
    needed |= {(who, "platform", 443) for who in OUTWARD}
    needed |= {("test", "web", 8000)}
    if environment == "dev":
        needed |= {(who, "fake-platform", 8900) for who in ("web", "worker-send", "worker-poll")}
        needed |= {("fake-platform", "web", 8000)}
    else:
        needed |= {("prometheus", who, 9100) for who in (*WORKERS, "beat")}
        needed |= {("prometheus", "web", 8000), ("ingress", "web", 8000)}
    return needed


@pytest.mark.parametrize("environment", AROUND)
def test_exactly_those_reach_each_other_who_must(environment):
    dns = {each for each in connections(environment) if each[1] == "dns"}
    assert connections(environment) - dns == must(environment)


def test_traces_may_leave_where_they_are_wanted():
    def tracing(*values: str) -> set[str]:
        policies = of_kind(render("prod", *values), "NetworkPolicy")
        return {
            policy["metadata"]["name"].removeprefix("threadsagent-")
            for policy in policies
            for rule in policy["spec"].get("egress", ())
            if any(port["port"] == 4318 for port in rule["ports"])
        }

    assert tracing() == set()
    endpoint = "settings.OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318"
    assert tracing(f"--set={endpoint}") == {"web", *WORKERS}


@pytest.mark.parametrize("environment", AROUND)
def test_names_are_looked_up_over_udp_and_over_tcp(environment):
    policies = of_kind(render(environment), "NetworkPolicy")
    for end in ends(environment):
        component = end.labels.get("app.kubernetes.io/component")
        if not component or end.namespace != HOME:
            continue
        for protocol in ("UDP", "TCP"):
            reaches = allowed(policies, HOME, end, DNS, 53, protocol)
            assert reaches == (component not in BUNDLED), f"{end.name} {protocol}"
        assert not allowed(policies, HOME, end, DNS, 443)


@pytest.mark.parametrize("environment", AROUND)
def test_a_policy_is_bound_to_every_pod_in_both_directions(environment):
    policies = of_kind(render(environment), "NetworkPolicy")
    assert all(p["spec"]["policyTypes"] == ["Ingress", "Egress"] for p in policies)
    for name, pod in pods(render(environment)):
        end = End(name, "10.1.9.9", HOME, pod["metadata"]["labels"])
        assert any(end.found_by(policy["spec"]["podSelector"]) for policy in policies), name


def test_another_release_in_the_namespace_is_a_stranger():
    policies = of_kind(render("dev"), "NetworkPolicy")
    web, database = (
        next(end for end in ends("dev") if end.name == name) for name in ("web", "database")
    )
    other = End("web", "10.1.9.9", HOME, {**web.labels, "app.kubernetes.io/instance": "other"})
    assert allowed(policies, HOME, web, database, 5432)
    assert not allowed(policies, HOME, other, database, 5432)


def test_callers_within_the_cluster_can_be_let_in():
    client = End("client", "10.1.0.1", HOME, {"app": "other"})
    web = next(end for end in ends("prod") if end.name == "web")
    option = "--set=networkPolicy.clients[0].podSelector.matchLabels.app=other"
    before, after = (of_kind(render("prod", *o), "NetworkPolicy") for o in ((), (option,)))
    assert not allowed(before, HOME, client, web, 8000)
    assert allowed(after, HOME, client, web, 8000)


def test_without_an_address_a_service_is_reached_anywhere_but_at_its_port_alone():
    objects = render("prod", "--set=networkPolicy.database.to=null")
    policies = of_kind(objects, "NetworkPolicy")
    web = next(end for end in ends("prod") if end.name == "web")
    anywhere = End("anywhere", "192.0.2.1")
    assert allowed(policies, HOME, web, anywhere, 5432)
    assert not allowed(policies, HOME, web, anywhere, 5433)
