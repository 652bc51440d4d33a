"""U-Nets that serve as generators and as denoisers; presets by name in ``presets``."""
