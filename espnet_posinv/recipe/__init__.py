"""What the staged recipes are made of: stages, configurations, progress lines."""
