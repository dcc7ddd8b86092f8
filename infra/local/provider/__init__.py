"""The Pulumi provider of the local target."""
