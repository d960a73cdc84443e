"""The training engine: one recipe in, one record of evidence out. It knows no claim and no MLflow."""
