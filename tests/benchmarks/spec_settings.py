"""The product's settings, with the paths of the spec's approach in place of the product's."""

from threadsagent.settings import *  # noqa: F403 - the very same, but for the line below

ROOT_URLCONF = "tests.benchmarks.spec_approach"
