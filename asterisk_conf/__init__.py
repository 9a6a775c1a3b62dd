"""Everything that Asterisk reads: its configuration, its dialplan, and the life of one instance."""
