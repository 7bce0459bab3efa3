# shellcheck shell=bash disable=SC2034
# What you already have, so that it need not be fetched. Empty: fetch it into downloads/.
# A folder with LibriSpeech's parts (train-clean-100, dev-clean, test-clean), or their tarballs
LIBRISPEECH=${LIBRISPEECH:-}
# A folder with DEMAND's environments (TBUS/ch01.wav, ...), or their zips
DEMAND=${DEMAND:-}
# A checkpoint of facebookresearch/denoiser (.th) that fine-tuning starts from, instead of training Demucs
# here; its weights are CC BY-NC 4.0. Give --model demucs48 for dns48, demucs64 for dns64 and master64.
DENOISER=${DENOISER:-}
# The folder of a faster-whisper model that recognises
WHISPER=${WHISPER:-}
# LibriSpeech's pronouncing dictionary (openslr.org/11: librispeech-lexicon.txt)
LEXICON=${LEXICON:-}
# An n-gram language model in ARPA format for the recogniser of characters (openslr.org/11: 4-gram.arpa.gz); none: greedy
LM=${LM:-}
