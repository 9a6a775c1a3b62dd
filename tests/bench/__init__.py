"""Benches: how fast Careline is, measured on a real Asterisk (`./careline bench NAME`)."""
