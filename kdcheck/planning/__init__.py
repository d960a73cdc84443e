"""What a study costs and what it buys, before it is run; and what stands in its way on this machine."""
