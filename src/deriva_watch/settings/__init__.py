"""The settings: one frozen value from TOML file, environment and flags, checked at start."""
