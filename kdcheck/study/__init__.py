"""From claims to runs: arms, contrasts, the graph of recipes, and who trains what."""
