# shellcheck shell=bash disable=SC2034
# What you already have, so that it need not be fetched. Empty: fetch it.
# A folder with .deb and .whl files under their registries' names (SOURCES.md lists them)
MINI_ARCHIVES=${MINI_ARCHIVES:-}
# Folders of faster-whisper models: model.bin, config.json, tokenizer.json, vocabulary
WHISPER_TINY_EN=${WHISPER_TINY_EN:-}
WHISPER_BASE=${WHISPER_BASE:-}
# nsnet2-20ms-baseline.onnx of the DNS Challenge
NSNET2_ONNX=${NSNET2_ONNX:-}
