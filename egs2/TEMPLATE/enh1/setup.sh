#!/usr/bin/env bash
# Make the folder of a new recipe: links to the template, a run.sh whose defaults run, and a local/data.sh that mixes
# a folder of clean speech with a folder of noise; both to be changed.
set -euo pipefail

case "${1:--}" in -*) echo "Usage: egs2/TEMPLATE/enh1/setup.sh egs2/<corpus>/enh1" >&2; exit 2 ;; esac
template=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
[ ! -e "$1/run.sh" ] || { echo "$1/run.sh exists already; nothing done" >&2; exit 1; }
mkdir -p "$1/local" "$1/conf/criterion"
cd "$1"
there=$(realpath --relative-to=. "${template}")
mini=$(realpath --relative-to=. "${template}/../../mini_debian")
for file in enh.sh path.sh cmd.sh; do ln -s "${there}/${file}" "${file}"; done
ln -s "${there}/../../../utils" utils
for file in slurm.conf queue.conf; do ln -s "../${there}/conf/${file}" "conf/${file}"; done
cp "${mini}"/enh1/conf/finetune.yaml conf/
cp "${mini}"/enh1/conf/criterion/*.yaml conf/criterion/

cat > run.sh << END
#!/usr/bin/env bash
# Fine-tune NSNet2 on SSL losses and see what recognition makes of it; ./run.sh --help lists more options of enh.sh.
set -euo pipefail
cd "\$(dirname "\${BASH_SOURCE[0]}")"

# Where your recordings are: see local/data.sh. The defaults are folders beside this file.
audio=\${AUDIO:-corpus/audio} transcripts=\${TRANSCRIPTS:-corpus/transcripts.txt} noise=\${NOISE:-corpus/noise}
speaker=\${SPEAKER:-}  # e.g. ^([a-z]+)- where a file's name begins with the speaker's
lang=en  # what is spoken, as Whisper names it; or ./run.sh --lang fr

epochs=\${EPOCHS:-2} updates=\${UPDATES:-20}  # an epoch; for a first table: see doc/your_own_corpus.md
for n in epochs updates; do
    [[ \${!n} =~ ^[1-9][0-9]*\$ ]] || { echo "\$0: \${n^^}=\${!n}: must be a whole number above 0" >&2; exit 2; }
done
finetune="--set max_epoch=\${epochs} --set num_iters_per_epoch=\${updates}"
finetune+=" --set scheduler_conf.warmup_steps_list=[0,\$((epochs * updates / 10)),\$((epochs * updates))]"
finetune+=" --set preprocessor_conf.noise_scp=\${noise}"

./enh.sh \\
    --local_data_opts "--audio \${audio} --transcripts \${transcripts} --noise \${noise}\${speaker:+ --speaker \${speaker}}" \\
    --data_from "\${audio} \${transcripts} \${noise}" \\
    --train_set train --valid_set valid --test_sets "test_clean test_noisy" --clean_set test_clean \\
    --pretrained downloads/nsnet2/nsnet2-20ms-baseline.onnx \\
    --finetune_config conf/finetune.yaml --finetune_defaults "\${finetune}" \\
    --upstreams "mini_hubert=transformers:${mini}/ssl1/mini_hubert" \\
    --recognisers "whisper-base=whisper:downloads/whisper-base" --asr_args "--window 15" --lang "\${lang}" \\
    --metrics estoi,si_sdr --probe_args none \\
    "\$@"
END
cat > local/data.sh << 'END'
#!/usr/bin/env bash
# Make <data>/{train,valid,test_clean,test_noisy} from a folder of clean speech and a folder of noise: each with wav.scp
# (noisy), spk1.scp (clean), utt2spk, text, and utt2noise and utt2snr for scores by condition.
# Usage: local/data.sh --data data --audio FOLDER --transcripts FILE --noise FOLDER [--speaker REGEX]
set -euo pipefail

data=data audio='' transcripts='' noise='' speaker=''
snrs="0 5 10"  # dB, of which one is drawn for each utterance
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=/dev/null
. utils/parse_options.sh
# shellcheck source=/dev/null
. ./path.sh
[ $# = 0 ] || { echo "$0: '$*' belongs to no option; paths have no blanks (ln -s TARGET LINK)" >&2; exit 2; }
if [ -z "${audio}" ] || [ -z "${transcripts}" ] || [ -z "${noise}" ]; then sed -n '2,4s/^# //p' "$0" >&2; exit 2; fi
for path in "${audio}" "${transcripts}" "${noise}"; do
    [ -e "${path}" ] || { echo "$0: ${path}: no such file or folder; correct it at the top of run.sh" >&2; exit 2; }
done

posinv fetch --downloads downloads whisper-base nsnet2

# Speakers of the sets are different ones. Any format and rate becomes one channel, 16-bit, at 16 kHz.
posinv data wav-folder --speaker "${speaker}" "${audio}" "${transcripts}" "${data}/speech"
for set in train valid test; do
    posinv data format-data-dir --fs 16000 "${data}/speech/${set}" "${data}/clean/${set}"
done

# A folder within the noise folder is a kind of noise. For a test in unseen noise, mix with another folder.
# shellcheck disable=SC2086  # a list
mix() { posinv data mix-data-dir "$1" "$2" --noise-scp "${noise}" --snrs ${snrs}; }
mix "${data}/clean/train" "${data}/train"
mix "${data}/clean/valid" "${data}/valid"
mix "${data}/clean/test" "${data}/test_noisy"

# The test set without noise: its noisy signal is the clean one.
posinv data copy-data-dir "${data}/clean/test" "${data}/test_clean"
cp "${data}/test_clean/wav.scp" "${data}/test_clean/spk1.scp"
END
chmod +x run.sh local/data.sh
echo "$1: now name your recordings in run.sh; doc/your_own_corpus.md goes through it"
