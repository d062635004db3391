"""A TOML file becomes run specifications, and back."""
