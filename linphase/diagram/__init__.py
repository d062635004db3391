"""The phase diagram as numbers; nothing here draws."""
