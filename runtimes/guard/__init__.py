"""Whether a request's data can be trusted: quality, anomaly, drift; and what is said when it cannot."""
