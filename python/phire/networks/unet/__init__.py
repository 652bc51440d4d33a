"""U-Nets as generators and as denoisers; ``unet_builder`` holds the builder and its presets."""
