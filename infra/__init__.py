"""The environment as code: what is declared, and where it runs."""
