"""The zoo: small faulty losses, metrics, trainers and studies, and the check that kills each of them."""
