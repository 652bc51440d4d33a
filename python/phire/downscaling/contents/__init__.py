"""Content losses between generated and true fields, registered by name."""
