"""The chart's tests need Helm, and nothing of what else the tests start."""

import os

import pytest

from tests.charts.helm import ENVIRONMENTS, NoHelmError, Object, find_helm, render


@pytest.fixture(scope="session", autouse=True)
def helm() -> str:
    """The path of Helm. Without one the tests are skipped, or fail in CI, where nobody would notice
    that they were."""
    try:
        return find_helm()
    except NoHelmError as error:
        reason = f"{error}: the chart's tests did not run"
        if os.environ.get("CI") == "true":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)


@pytest.fixture(scope="session", params=ENVIRONMENTS)
def objects(request: pytest.FixtureRequest) -> list[Object]:
    """The chart's objects with the values of each environment."""
    return render(request.param)
