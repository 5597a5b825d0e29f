"""Networks as files and in the formats of others."""
