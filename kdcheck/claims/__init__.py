"""What a claim is made of: arms, readings, contrasts, the margin it is judged by, and its paper."""

from kdcheck.claims.arm import SIZES, Arm
from kdcheck.claims.contrast import OPERATIONS, Contrast, Reading, apply, reading
from kdcheck.claims.declare import WORDINGS, Claim, Margin, claim, claim_of, nats, plain, points
from kdcheck.claims.paper import OWN, Figure, Line, Paper, Printed, PrintedTable

__all__ = [
    "OPERATIONS",
    "OWN",
    "SIZES",
    "WORDINGS",
    "Arm",
    "Claim",
    "Contrast",
    "Figure",
    "Line",
    "Margin",
    "Paper",
    "Printed",
    "PrintedTable",
    "Reading",
    "apply",
    "claim",
    "claim_of",
    "nats",
    "plain",
    "points",
    "reading",
]
