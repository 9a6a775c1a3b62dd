"""What was said: from Asterisk's WAVs to one verified file, kept and findable."""
