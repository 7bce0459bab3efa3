#!/usr/bin/env bash
# Recognisers on frozen encoders, trained on clean speech only: phones (a linear head and a BLSTM) and characters, CTC.
# Killed and run again, it goes on. On a GPU some minutes; on two CPU cores hours (--steps 300 is a try).
# Usage: ./run.sh [--stage 1] [--stop-stage 3] [--steps 2500] [--device cpu|cuda] [--dir exp]
#                 [--upstreams "TAG=SPEC ..."] [--heads "phones_linear phones_blstm characters_blstm"]
set -euo pipefail

usage() { sed -n '2,5s/^# \{0,1\}//p' "$0"; }
die() { echo "$0: $*" >&2 && exit 2; }
stage=1 stop_stage=3 steps=2500 device=cpu dir=exp heads="phones_linear phones_blstm characters_blstm"
upstreams="mini_hubert=transformers:../ssl1/mini_hubert whisper_tiny=whisper:../downloads/whisper-tiny.en"
while [ $# -gt 0 ]; do
    case $1 in
        -h | --help) usage && exit 0 ;;
        --stage | --stop-stage | --stop_stage | --steps | --device | --dir | --upstreams | --heads)
            [ -n "${2:-}" ] || die "$1 needs a value"
            name=${1#--}
            printf -v "${name//-/_}" '%s' "$2"
            shift 2
            ;;
        *) echo "$0: unknown option $1" >&2 && usage >&2 && exit 2 ;;
    esac
done
for name in stage stop_stage steps; do
    [[ ${!name} =~ ^[1-9][0-9]*$ ]] || die "--${name} ${!name}: a whole number from 1 up is needed"
done
((stage <= stop_stage && stop_stage <= 3)) ||
    die "--stage ${stage} --stop-stage ${stop_stage}: stages are 1 to 3, the first one not behind the last"

cd "$(dirname "${BASH_SOURCE[0]}")"
# shellcheck source=/dev/null
. ./path.sh
# shellcheck source=/dev/null
if [ -f ../enh1/db.sh ]; then . ../enh1/db.sh; fi
own=()
if [ -n "${MINI_ARCHIVES:-}" ]; then own=(--archives "${MINI_ARCHIVES}"); fi
whisper=${WHISPER_TINY_EN:-../downloads/whisper-tiny.en}
needs() { [ -e "$1" ] || die "no ${PWD}/$1: stage $2 makes it (--stage $2)"; }
reach() { [ "${stage}" -le "$1" ] && [ "${stop_stage}" -ge "$1" ]; }
if reach 2 && [ ! -f data/english/text_phones ] && ! command -v espeak-ng > /dev/null; then
    die "stage 2 takes the phones of English from espeak-ng: apt-get install espeak-ng"
fi
posinv() { python3 -m espnet_posinv "$@"; }

if reach 1; then
    echo "stage 1: clean prompts of training voices, with phones, in data"
    posinv fetch --downloads ../downloads "${own[@]}" whisper-tiny.en
    posinv data mini-debian --downloads ../downloads "${own[@]}" --data "${PWD}/data" --size full --lexicon lexicon.txt
fi

if reach 2; then
    needs data/valid/text_phones 1
    echo "stage 2: English, whose prompts are the tests': dialogue that Whisper tiny.en transcribes"
    [ -f data/english/wav.scp ] ||
        posinv data amazon-queen --downloads ../downloads "${own[@]}" --data "${PWD}/data/english"
    posinv decode --backend whisper --model "${whisper}" --wav-scp data/english/wav.scp --output-dir exp/english --nj "$(nproc)"
    awk 'NF > 1' exp/english/text > data/english/text  # nothing was heard in some
    posinv data phones --text data/english/text --utt2lang data/english/utt2lang --lexicon lexicon.txt \
        --output data/english/text_phones
    mkdir -p data/all
    awk 'NR == FNR { kept[$1]; next } $1 in kept' data/english/text data/english/wav.scp | cat data/train/wav.scp - |
        sort > data/all/wav.scp
    for f in text text_phones; do sort "data/train/${f}" "data/english/${f}" > "data/all/${f}"; done
fi

if reach 3; then
    needs data/all/text_phones 2
    valid=data/valid/spk1.scp
    [ -f "${valid}" ] || valid=data/valid/wav.scp  # unpacked by ../enh1/local/interaction.sh
    for u in ${upstreams}; do for h in ${heads}; do
        out=${dir}/${u%%=*}_${h}
        echo "stage 3: ${out}"
        case ${h} in
            phones_*) text=text_phones units=(--units phones --lexicon given) ;;
            characters_*) text=text units=(--units characters --language mul) ;;
            *) die "--heads ${h}: there are phones_linear, phones_blstm, characters_linear, characters_blstm" ;;
        esac
        [ ! -f "${out}/config.json" ] || continue
        # All cores: the only job
        OMP_NUM_THREADS=$(nproc) posinv train-ctc --upstream "${u#*=}" "${units[@]}" --head "${h#*_}" --hidden 256 \
            --dropout 0.3 --steps "${steps}" --eval-every "$((steps < 500 ? steps : 500))" --half --device "${device}" \
            --train-scp data/all/wav.scp --train-text "data/all/${text}" \
            --valid-scp "${valid}" --valid-text "data/valid/${text}" --output-dir "${out}"
    done; done
fi
