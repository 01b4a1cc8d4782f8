"""Settings come from the environment, or from files that it names."""

import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
SHOW = "from threadsagent import settings; print(repr(getattr(settings, {!r})))"
NEEDED = {
    "SECRET_KEY": "k",
    "DATABASE_URL": "postgres://u:p@h:1/n",
    "REDIS_URL": "redis://h:1/0",
    "CELERY_BROKER_URL": "amqp://h",
}


def read(name: str, **env: str) -> str:
    """A setting as a fresh process has it; an error's last line if there is one."""
    result = subprocess.run(
        [sys.executable, "-c", SHOW.format(name)],
        cwd=PROJECT,
        env=NEEDED | env,
        capture_output=True,
        text=True,
    )
    return (result.stdout or result.stderr).splitlines()[-1]


def test_a_secret_comes_from_a_file_without_its_line_end(tmp_path):
    file = tmp_path / "key"
    file.write_text("s3cret\n")
    assert read("SECRET_KEY", SECRET_KEY_FILE=str(file)) == "'s3cret'"


def test_a_dollar_is_a_dollar():
    assert read("SECRET_KEY", SECRET_KEY="$a$b\\c") == repr("$a$b\\c")


@pytest.mark.parametrize("name", NEEDED)
def test_what_is_missing_stops_the_start_with_its_name(name):
    env = {key: value for key, value in NEEDED.items() if key != name}
    result = subprocess.run(
        [sys.executable, "-c", "from threadsagent import settings"],
        cwd=PROJECT,
        env=env,
        capture_output=True,
        text=True,
    )
    assert f"Set the {name} environment variable" in result.stderr


def test_redis_as_a_broker_gets_time_outs_and_rabbitmq_has_its_own():
    options = read("CELERY_BROKER_TRANSPORT_OPTIONS", CELERY_BROKER_URL="redis://h:1/1")
    assert "socket_timeout" in options
    assert "read_timeout" in read("CELERY_BROKER_TRANSPORT_OPTIONS")


@pytest.mark.parametrize("value", ["not base64!", "whsec_c2hvcnQ=", "whsec_"])
def test_a_secret_that_signs_nothing_safely_stops_the_start(value):
    assert "CONVERSIONS_SECRET must be" in read("CONVERSIONS_SECRET", CONVERSIONS_SECRET=value)


def test_conversions_have_no_secret_unless_one_is_set():
    assert read("CONVERSIONS_SECRET") == "''"
    good = "whsec_" + "QUJD" * 8
    assert read("CONVERSIONS_SECRET", CONVERSIONS_SECRET=good) == repr(good)


def test_a_port_for_metrics_needs_a_folder_to_count_in(tmp_path):
    assert "PROMETHEUS_MULTIPROC_DIR" in read("METRICS_PORT", METRICS_PORT="9100")
    folder = tmp_path / "made" / "if need be"
    env = {"METRICS_PORT": "9100", "PROMETHEUS_MULTIPROC_DIR": str(folder)}
    assert read("METRICS_PORT", **env) == "9100"
    assert folder.is_dir()


@pytest.mark.parametrize(
    ("env", "proxies"),
    [
        ({}, "0"),
        ({"HTTPS": "true"}, "1"),
        ({"HTTPS": "true", "TRUSTED_PROXIES": "0"}, "0"),
        ({"TRUSTED_PROXIES": "2"}, "2"),
    ],
)
def test_there_is_one_proxy_where_there_is_tls_unless_it_is_said(env, proxies):
    assert read("TRUSTED_PROXIES", **env) == proxies
