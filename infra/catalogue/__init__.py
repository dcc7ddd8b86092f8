"""What is served: pure data, without Pulumi."""
