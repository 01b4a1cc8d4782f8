"""The objects belong together: names, selectors, references, what rolls the pods."""

import hashlib
import re
import tomllib

import pytest
import yaml

from tests.charts.helm import (
    CHART,
    ENVIRONMENTS,
    ROOT,
    Object,
    containers,
    is_hook,
    label,
    named,
    of_kind,
    pods,
    refusal,
    render,
    run,
    values_of,
)

LONGEST = "a-release-with-a-name-as-long-as-helm-allows-which-53"  # characters


def matches(selector: Object, labels: dict[str, str]) -> bool:
    """Whether a label selector finds these labels."""
    wanted = selector.get("matchLabels", {})
    return wanted.items() <= labels.items() and all(
        rule["operator"] == "In" and labels.get(rule["key"]) in rule["values"]
        for rule in selector.get("matchExpressions", [])
    )


def test_the_application_has_the_projects_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == project["version"]


# Names ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_longest_release_name_still_fits(environment):
    assert len(LONGEST) == 53
    objects = render(environment, release=LONGEST)
    for each in objects:
        # Names of pods have ten more characters and five for a Deployment, and are host names.
        spare = 17 if each["kind"] == "Deployment" else 12 if each["kind"] == "StatefulSet" else 0
        assert len(each["metadata"]["name"]) + spare <= 63 or each["kind"] == "ConfigMap", label(
            each
        )
        for value in each["metadata"]["labels"].values():
            assert len(value) <= 63, label(each)


def test_long_release_names_that_begin_alike_stay_two():
    first = {label(each) for each in render("prod", release=LONGEST)}
    second = {label(each) for each in render("prod", release=LONGEST[:-1] + "4")}
    assert not first & second


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_two_releases_in_a_namespace_share_nothing(environment):
    first, second = render(environment, release="one"), render(environment, release="two")
    assert not {label(each) for each in first} & {label(each) for each in second}
    foreign = [pod["metadata"]["labels"] for _name, pod in pods(second)]
    for each in first:
        spec = each.get("spec", {})
        selector = spec.get("selector") or spec.get("podSelector")
        if selector:
            selector = selector if each["kind"] != "Service" else {"matchLabels": selector}
            assert not any(matches(selector, labels) for labels in foreign), label(each)


def test_a_name_can_be_chosen():
    objects = render("prod", "--set=fullnameOverride=buyers")
    assert all(each["metadata"]["name"].startswith("buyers") for each in objects)


# References -------------------------------------------------------------------------------------


def test_every_selector_finds_pods_and_every_workload_only_its_own(objects):
    labels = {name: pod["metadata"]["labels"] for name, pod in pods(objects)}
    for each in of_kind(objects, "Deployment", "StatefulSet"):
        found = [name for name in labels if matches(each["spec"]["selector"], labels[name])]
        assert found == [label(each)]
    for each in of_kind(objects, "PodDisruptionBudget", "NetworkPolicy", "PodMonitor"):
        selector = each["spec"].get("selector") or each["spec"]["podSelector"]
        assert any(matches(selector, have) for have in labels.values()), label(each)


def test_services_lead_to_ports_that_pods_have(objects):
    for service in of_kind(objects, "Service"):
        selector = {"matchLabels": service["spec"]["selector"]}
        (pod,) = (p for _name, p in pods(objects) if matches(selector, p["metadata"]["labels"]))
        ports = {p["name"] for c in pod["spec"]["containers"] for p in c["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports, label(service)


def test_what_leads_to_a_service_names_one_that_exists(objects):
    services = {each["metadata"]["name"]: each for each in of_kind(objects, "Service")}
    for ingress in of_kind(objects, "Ingress"):
        backend = ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
        assert backend["port"]["name"] == services[backend["name"]]["spec"]["ports"][0]["name"]
    for route in of_kind(objects, "HTTPRoute"):
        (backend,) = route["spec"]["rules"][0]["backendRefs"]
        assert backend["port"] == services[backend["name"]]["spec"]["ports"][0]["port"]
    for monitor in of_kind(objects, "ServiceMonitor"):
        selected = [
            each
            for each in services.values()
            if matches(monitor["spec"]["selector"], each["metadata"]["labels"])
        ]
        assert [each["spec"]["ports"][0]["name"] for each in selected] == ["http"]


def test_autoscalers_scale_deployments_whose_replicas_nobody_else_sets(objects):
    for each in of_kind(objects, "HorizontalPodAutoscaler", "ScaledObject"):
        target = named(objects, "Deployment", each["spec"]["scaleTargetRef"]["name"])
        assert "replicas" not in target["spec"]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_what_pods_read_is_there_when_they_start(environment):
    """A hook runs before the release's own objects exist, and needs its own."""
    objects = render(environment)
    for early in (True, False):
        now = [each for each in objects if is_hook(each, "pre-install") == early]
        there = {label(each) for each in of_kind(now, "ConfigMap", "Secret", "ServiceAccount")}
        if environment != "dev":
            there.add("Secret/threadsagent")  # named as `secret.existing`
        for name, pod in pods(now):
            needed = {f"ConfigMap/{s['configMapRef']['name']}" for s in sources(pod)}
            needed |= {f"Secret/{secret['secretName']}" for secret in secrets_of(pod)}
            needed.add(f"ServiceAccount/{pod['spec']['serviceAccountName']}")
            assert needed <= there, name


def sources(pod: Object) -> list[Object]:
    """Where a pod's variables come from."""
    return [each for _name, c in containers([as_object(pod)]) for each in c.get("envFrom", [])]


def secrets_of(pod: Object) -> list[Object]:
    """The Secrets that a pod mounts."""
    return [v["secret"] for v in pod["spec"].get("volumes", []) if "secret" in v]


def as_object(pod: Object) -> Object:
    """A pod's template as if it were the pod."""
    return {"kind": "Pod", "metadata": {"name": "pod"}, "spec": pod["spec"]}


# Settings and secrets ---------------------------------------------------------------------------


def test_a_secret_that_exists_is_read_and_none_is_made():
    objects = render("prod", "--set=secret.existing=mine")
    assert not of_kind(objects, "Secret")
    read = {s["secretName"] for _name, pod in pods(objects) for s in secrets_of(pod)}
    assert read == {"mine"}
    for each in of_kind(objects, "ServiceMonitor", "PodMonitor"):
        (endpoint,) = each["spec"].get("endpoints") or each["spec"]["podMetricsEndpoints"]
        assert endpoint["authorization"]["credentials"] == {"name": "mine", "key": "METRICS_TOKEN"}


def test_nothing_is_made_up_so_an_upgrade_changes_no_secret():
    render("dev")
    first = run("template", "threadsagent", str(CHART), values_of("dev")).stdout
    run.cache_clear()
    assert run("template", "threadsagent", str(CHART), values_of("dev")).stdout == first


@pytest.mark.parametrize(
    "change",
    [
        "settings.LOG_LEVEL=ERROR",
        "secret.values.SECRET_KEY=another",
        "bundled.password=another-one",
    ],
)
def test_pods_begin_anew_when_what_they_read_has_changed(change):
    def checksums(*options: str) -> dict[str, str]:
        return {
            name: str(pod["metadata"].get("annotations"))
            for name, pod in pods(render("dev", *options))
            if name.startswith("Deployment")
        }

    before, after = checksums(), checksums(f"--set={change}")
    assert len(before) == 7
    assert not [name for name in before if before[name] == after[name]]
    assert checksums("--set=web.replicas=3") == before


def test_numbers_are_written_as_people_write_them():
    settings = named(render("prod"), "ConfigMap", "threadsagent")["data"]
    assert settings["MAX_BODY_BYTES"] == "33554432"
    given = '{"SWEEP_SECONDS": 0.5, "HTTPS": false, "MESSAGES_PER_HOUR": 0, "DISCLOSURE": ""}'
    settings = named(render("prod", f"--set-json=settings={given}"), "ConfigMap", "threadsagent")[
        "data"
    ]
    assert settings["SWEEP_SECONDS"] == "0.5"
    assert settings["HTTPS"] == "false"
    assert settings["MESSAGES_PER_HOUR"] == "0"
    assert settings["DISCLOSURE"] == ""


def test_with_a_host_the_site_is_behind_tls():
    objects = render("prod")
    settings = named(objects, "ConfigMap", "threadsagent")["data"]
    assert settings["HTTPS"] == "true"
    assert (
        settings["PUBLIC_URL"]
        == settings["CSRF_TRUSTED_ORIGINS"]
        == "https://threadsagent.example.com"
    )
    (ingress,) = of_kind(objects, "Ingress")
    assert ingress["spec"]["tls"] == [
        {"hosts": ["threadsagent.example.com"], "secretName": "threadsagent-tls"}
    ]


def test_the_site_answers_to_its_host_its_service_and_its_own_address():
    def hosts(*options: str, environment: str = "prod") -> str:
        web = named(render(environment, *options), "Deployment", "threadsagent-web")
        (container,) = web["spec"]["template"]["spec"]["containers"]
        return next(v["value"] for v in container["env"] if v["name"] == "ALLOWED_HOSTS")

    pod = "threadsagent-web,threadsagent-web.shop.svc,$(POD_IP),[$(POD_IP)]"
    assert hosts() == f"threadsagent.example.com,{pod}"
    assert (
        hosts("--set=settings.ALLOWED_HOSTS=a.example\\,b.example") == f"a.example,b.example,{pod}"
    )
    assert hosts(environment="dev") == f"localhost,127.0.0.1,{pod}"


# Migrations -------------------------------------------------------------------------------------


@pytest.mark.parametrize("environment", ["staging", "prod"])
def test_the_database_is_migrated_before_anything_is_changed(environment):
    objects = render(environment)
    (job,) = of_kind(objects, "Job")
    assert is_hook(job, "pre-install")
    assert is_hook(job, "pre-upgrade")
    weights = {
        each["kind"]: int(each["metadata"]["annotations"]["helm.sh/hook-weight"])
        for each in objects
        if is_hook(each, "pre-install")
    }
    # What it needs comes first: the way to the database as well.
    assert weights.pop("Job") > max(weights.values())
    assert weights.keys() == {"ServiceAccount", "ConfigMap", "NetworkPolicy"}
    account = job["spec"]["template"]["spec"]["serviceAccountName"]
    assert is_hook(named(objects, "ServiceAccount", account), "pre-install")
    assert not [name for name, _c in containers(objects) if "wait-for-migrations" in name]


def test_a_migration_brings_its_own_secret_when_the_chart_makes_one():
    options = [
        "--set=secret.existing=",
        "--set=secret.values.SECRET_KEY=k,secret.values.METRICS_TOKEN=m",
        "--set=secret.values.DATABASE_URL=postgres://u:p@h/n",
        "--set=secret.values.REDIS_URL=redis://h,secret.values.CELERY_BROKER_URL=amqp://h",
    ]
    objects = render("prod", *options)
    own = named(objects, "Secret", "threadsagent-migrate")
    assert is_hook(own, "pre-install")
    assert own["stringData"] == named(objects, "Secret", "threadsagent")["stringData"]


def test_with_bundled_services_pods_wait_for_the_migration_and_none_of_it_is_a_hook():
    objects = render("dev")
    (job,) = of_kind(objects, "Job")
    assert not is_hook(job)
    assert job["metadata"]["name"].endswith("-1")  # the revision: a Job cannot be changed
    waiting = {name for name, c in containers(objects) if c["name"] == "wait-for-migrations"}
    kinds = ("web", "worker-analyze", "worker-send", "worker-poll", "worker-default")
    assert waiting == {f"Deployment/threadsagent-{k}/wait-for-migrations" for k in kinds}


# Monitoring -------------------------------------------------------------------------------------


def test_every_process_is_scraped_once(objects):
    monitors = of_kind(objects, "PodMonitor")
    if not monitors:
        assert not of_kind(objects, "ServiceMonitor", "PrometheusRule")
        return
    selector = monitors[0]["spec"]["selector"]
    for name, pod in pods(objects):
        ports = {p["name"] for c in pod["spec"]["containers"] for p in c.get("ports", [])}
        by_pod = matches(selector, pod["metadata"]["labels"])
        assert by_pod == ("metrics" in ports), name


def test_rules_and_dashboards_know_each_process_by_job_and_component():
    objects = render("prod")
    found = set()
    for monitor in of_kind(objects, "ServiceMonitor", "PodMonitor"):
        spec = monitor["spec"]
        (endpoint,) = spec.get("endpoints") or spec["podMetricsEndpoints"]
        (rule,) = endpoint["relabelings"]
        (source,) = rule["sourceLabels"]
        for _name, pod in pods(objects):
            labels = pod["metadata"]["labels"]
            if matches(spec["selector"], labels):
                meta = {f"__meta_kubernetes_pod_label_{re.sub('[./-]', '_', k)}": k for k in labels}
                component = re.fullmatch(rule["regex"], labels[meta[source]])
                assert component is not None
                found.add((labels[spec["jobLabel"]], component[1]))
    components = ("web", "analyze", "send", "poll", "default", "beat")
    assert found == {("threadsagent", each) for each in components}


def test_rules_and_dashboards_are_those_of_the_files():
    objects = render("prod")
    files = CHART / "files"
    (rule,) = of_kind(objects, "PrometheusRule")
    assert rule["spec"] == yaml.safe_load((files / "rules.yaml").read_text())
    assert rule["metadata"]["labels"]["release"] == "prometheus"
    shown = [
        c for c in of_kind(objects, "ConfigMap") if "grafana_dashboard" in c["metadata"]["labels"]
    ]
    digests = {
        name: hashlib.sha256(text.encode()).hexdigest()
        for each in shown
        for name, text in each["data"].items()
    }
    assert digests == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (files / "dashboards").glob("*.json")
    }


def test_the_backlog_that_is_told_and_where_runbooks_are_can_be_set():
    (rule,) = of_kind(
        render(
            "prod",
            "--set=monitoring.queueBacklogThreshold=7",
            "--set=monitoring.runbooks=https://wiki.example/runbooks",
        ),
        "PrometheusRule",
    )
    alerts = {alert["alert"]: alert for group in rule["spec"]["groups"] for alert in group["rules"]}
    backlog = alerts["CommentQueueBacklog"]
    assert backlog["expr"].endswith("(comment_processing_queue_length) > 7")
    assert {alert["annotations"]["runbook_url"] for alert in alerts.values()} == {
        f"https://wiki.example/runbooks#{name.lower()}" for name in alerts
    }


# Refused ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "option", "name"),
    [
        ("prod", "web.replicas=two", "replicas"),
        ("prod", "web.replicas=-1", "replicas"),
        ("prod", "settings.LOG_LVL=INFO", "LOG_LVL"),
        ("prod", "settings.SECRET_KEY=x", "SECRET_KEY"),
        ("prod", "settings.RETENTION_DAYS=7", "RETENTION_DAYS"),
        ("prod", "setings.LOG_LEVEL=INFO", "setings"),
        ("prod", "workers.other.replicas=1", "other"),
        ("prod", "web.resources.requests.memory=512", "memory"),
        ("prod", "autoscaling.kind=vpa", "kind"),
        ("prod", "image.digest=sha256:1", "digest"),
        ("prod", "secret.keys={LOG_LEVEL}", "keys"),
        ("dev", "secret.values.REDIS_URL=http://x", "REDIS_URL"),
        ("dev", "bundled.password=p@ss:word/", "password"),
        ("staging", "httpRoute.parentRefs[1].name=x", "sectionName"),
    ],
)
def test_a_value_of_a_wrong_kind_is_refused_by_its_name(environment, option, name):
    said = refusal(environment, f"--set={option}")
    assert "values don't meet the specifications of the schema" in said
    assert name in said.partition("threadsagent:")[2]


@pytest.mark.parametrize(
    ("environment", "option", "message"),
    [
        ("prod", "image.digest=,image.tag=latest", "image.tag is latest: name a version"),
        ("prod", "secret.existing=", "secret.values.SECRET_KEY is missing (or name a Secret"),
        ("prod", "secret.values.SECRET_KEY=x", "existing and secret.values exclude each other"),
        ("prod", "secret.keys={SECRET_KEY}", "secret.keys lacks DATABASE_URL"),
        (
            "prod",
            "secret.keys={SECRET_KEY,DATABASE_URL,REDIS_URL,CELERY_BROKER_URL}",
            "secret.keys lacks METRICS_TOKEN: monitoring.enabled",
        ),
        ("prod", "bundled.enabled=true", "existing and bundled.enabled exclude each other"),
        ("prod", "host=", "host is missing"),
        ("prod", "ingress.tlsSecretName=", "ingress.tlsSecretName is missing"),
        ("prod", "httpRoute.enabled=true", "ingress.enabled and httpRoute.enabled exclude"),
        ("prod", "autoscaling.minReplicas=11", "more than autoscaling.maxReplicas"),
        ("staging", "autoscaling.prometheusAddress=", "prometheusAddress is missing"),
        ("staging", "httpRoute.parentRefs=null", "httpRoute.parentRefs is missing"),
        ("dev", "bundled.password=", "bundled.password is missing"),
        ("dev", "secret.values.DEMO_PASSWORD=", "DEMO_PASSWORD is missing: fakePlatform"),
        ("dev", "host=shop.example.com", "fakePlatform.enabled is for trials over plain HTTP"),
        (
            "dev",
            "monitoring.enabled=true,secret.values.METRICS_TOKEN=",
            "METRICS_TOKEN is missing: monitoring.enabled",
        ),
    ],
)
def test_values_that_do_not_go_together_are_refused_with_the_reason(environment, option, message):
    assert message in refusal(environment, f"--set={option}")


def test_without_values_the_chart_says_what_it_needs():
    result = run("template", "threadsagent", str(CHART))
    assert "secret.values.SECRET_KEY is missing" in result.stderr
