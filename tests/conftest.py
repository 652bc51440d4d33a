"""What all tests share."""

from hypothesis import HealthCheck, settings

from phire.cli.command import choose_kernels

# Nothing fails for being slow: the machines that run the tests are shared.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

choose_kernels()  # before anything imports TensorFlow
