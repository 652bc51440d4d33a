"""A downstream task: the latitude of the jet, told from learned features."""
