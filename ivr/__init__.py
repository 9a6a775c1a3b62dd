"""WHAT THE CALLER HEARS: menus as data, and the way through one on one call."""
