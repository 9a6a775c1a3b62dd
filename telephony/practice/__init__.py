"""The practice town: a carrier of our own with invented elders, so that everything can be tried.

people.toml says who lives there, scripts.toml what they say, speech/ how that sounds.
"""
