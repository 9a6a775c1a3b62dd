"""The launcher: makes a bare machine one that runs Careline, then starts what is asked for."""
