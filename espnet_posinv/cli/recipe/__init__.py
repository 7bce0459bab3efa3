"""What the stages of a recipe call."""
