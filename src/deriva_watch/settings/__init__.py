"""One frozen Settings from TOML, environment and flags, checked whole at start."""
