"""Load against a deployed environment: journeys, thresholds, reports, benchmarks."""
