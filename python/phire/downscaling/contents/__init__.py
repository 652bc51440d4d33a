"""Content losses: how far generated fields are from true ones. Small files, found by name."""
