"""Text: normalisation for scoring, spelling for recognisers (both in `normalize`), and phones (`lexicon`).

The normalisation uses maintained packages: Whisper's normalisers (whisper-normalizer, with combining marks
kept), text2num for numbers in words, num2words and indic-numtowords for numbers in digits, Babel's CLDR data
for thousands and decimal signs. `english` and `numbers` add what they lack.
"""
