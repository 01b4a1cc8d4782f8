"""What a comment's author wants: analysis, its results, and the operators' reviews."""
