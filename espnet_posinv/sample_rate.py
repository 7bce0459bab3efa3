"""The rate of all audio that is encoded, recognised or scored, in Hz."""

SAMPLE_RATE = 16000
