"""Text: what counts as the same words, how words are spoken (both in `normalize`), and phones (`lexicon`).

Normalisation is that of kept packages: Whisper's normalisers (package whisper-normalizer, combining marks
kept), text2num for numbers in words, num2words and indic-numtowords for numbers in digits, Babel's CLDR data
for how a language writes thousands and decimals. What they lack is in `english` and `numbers`.
"""
