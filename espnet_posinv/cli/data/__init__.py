"""Make, check and change Kaldi data directories."""
