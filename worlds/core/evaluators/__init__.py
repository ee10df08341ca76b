"""Ways to compute the law of a formula inside one world, best first."""
