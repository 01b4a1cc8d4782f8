"""Comments in: where they come from, what they must look like, and the one way they are stored."""
