"""ASTERISK AND CARRIERS: the only room that speaks AMI and AGI."""
