"""What all tests share."""

import os

from hypothesis import HealthCheck, settings

# Nothing fails for being slow: the machines that run the tests are shared.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

# As the commands set it (phire.cli.common), before anything imports TensorFlow.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
