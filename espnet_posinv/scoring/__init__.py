"""Word error rates with counts, signal metrics, and intervals from a bootstrap over utterances."""
