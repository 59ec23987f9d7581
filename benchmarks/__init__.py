"""Commands that measure; see README.md here."""
