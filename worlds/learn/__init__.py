"""Learning: features to fitted models, weights, the gate, jobs. Runs in its own process."""
