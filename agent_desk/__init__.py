"""The desk: what people of the centre see in their browsers."""
