"""Numbers of things, as people say them."""


def plural(count: int, noun: str) -> str:
    """How many of a thing there are.

    >>> plural(1, "claim"), plural(0, "claim"), plural(1200, "run")
    ('1 claim', '0 claims', '1,200 runs')
    """
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
