"""Score transcripts, signals and other tasks."""
