"""DECISIONS: what Careline does about what happened. Pure but for the runner."""
