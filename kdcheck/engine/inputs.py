"""A task made ready for one encoder: tokenised once, with the vocabulary that it uses."""

# Shapes: B examples of one batch, K classes.

from __future__ import annotations
