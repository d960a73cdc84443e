"""What the engine is measured against, each as one would write it without kdcheck."""
