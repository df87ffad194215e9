"""What holds for every test: no setting of the developer's shell reaches the product, no time limit but pytest's."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.postgres", "tests.rows"]

_OF_THE_TESTS = ("VERBATIM_TEST_DATABASE_URL", "VERBATIM_RECORDINGS")
for _name in [each for each in os.environ if each.startswith("VERBATIM_") and each not in _OF_THE_TESTS]:
    del os.environ[_name]

# A loaded machine is no failure; a seed that fails is printed, so that it can be run again.
settings.register_profile(
    "verbatim", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("verbatim")
