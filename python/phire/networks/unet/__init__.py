"""U-Nets as generators and as denoisers; ``presets`` holds the builder and its presets."""
