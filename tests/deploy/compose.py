"""What compose.yaml says, for the tests."""

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "threadsagent" in service["image"]}
WORKERS = {name: service for name, service in OURS.items() if "worker" in service["command"]}
