"""The message to the buyer: which campaign, which words, when, and what came of it."""
