"""What the caller hears: phrases as data, the audio made from them, and the workshop that makes it.

Careline plays only the finished files below `zh/` and `moh/`. Everything else in this folder is
used when a phrase changes, by `python -m ivr.render_prompts`.
"""
