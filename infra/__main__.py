"""What Pulumi runs: settings -> catalogue -> target."""

from infra import program

program.run()
