#!/usr/bin/env bash
# Make the folder of a new recipe: links to the template, a run.sh and a local/data.sh to fill in.
set -euo pipefail

case "${1:--}" in -*) echo "Usage: egs2/TEMPLATE/enh1/setup.sh egs2/<corpus>/enh1" >&2; exit 2 ;; esac
template=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
[ ! -e "$1/run.sh" ] || { echo "$1/run.sh exists already; nothing done" >&2; exit 1; }
mkdir -p "$1/local" "$1/conf/criterion"
cd "$1"
there=$(realpath --relative-to=. "${template}")
for file in enh.sh path.sh cmd.sh; do ln -s "${there}/${file}" "${file}"; done
ln -s "${there}/../../../utils" utils
for file in slurm.conf queue.conf; do ln -s "../${there}/conf/${file}" "conf/${file}"; done
cp "${there}"/../../mini_debian/enh1/conf/finetune.yaml conf/
cp "${there}"/../../mini_debian/enh1/conf/criterion/*.yaml conf/criterion/

cat > run.sh << 'END'
#!/usr/bin/env bash
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

./enh.sh \
    --train_set train --valid_set valid --test_sets "test_clean test_noisy" --clean_set test_clean \
    --init exp/my_se_model --finetune_config conf/finetune.yaml \
    --upstreams "hubert=transformers:facebook/hubert-base-ls960" \
    --recognisers "whisper=whisper:small.en" \
    "$@"
END
cat > local/data.sh << 'END'
#!/usr/bin/env bash
# Make data/<set>/ with wav.scp (noisy), spk1.scp (clean), utt2spk, spk2utt for every set, and text for test sets;
# utt2noise and utt2snr too if scores by condition are wanted.
set -euo pipefail
echo "local/data.sh: write the corpus's preparation here" >&2
exit 1
END
chmod +x run.sh local/data.sh
echo "$1: now fill in local/data.sh and name the sets in run.sh"
