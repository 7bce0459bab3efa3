#!/usr/bin/env bash
# Fine-tuning of a speech enhancement model on SSL representations: the stages. A corpus's run.sh names its
# sets and configurations and calls this with "$@". Stage numbers mean the same in every recipe.
# Lists (sets, criterions, seeds, paths) are words between blanks, so they are meant to be split:
# shellcheck disable=SC2034,SC2046,SC2086,SC1091,SC2154
set -euo pipefail

# General
stage=1                  # first stage to run
stop_stage=10            # last stage to run
list_stages=false        # only list the stages and whether they are done
dry_run=false            # only say what would run, what it reads and writes
redo=false               # run finished stages again
ngpu=0                   # GPUs of a training (0: CPU)
num_nodes=1              # nodes of a training (more than 1 needs Slurm)
train_jobs=1             # fine-tunings at a time
train_threads=$(nproc)   # CPU threads of a training without GPU
nj=$(nproc)              # parallel jobs of data preparation, enhancement, decoding and scoring
cmd_backend=local        # local, slurm or sge: where jobs run (cmd.sh)
python=python3           # the interpreter
datadir=data             # data directories that local/data.sh makes
dumpdir=dump             # formatted audio
expdir=exp               # models, enhanced audio, transcripts, scores
# Data
local_data_opts=         # passed to local/data.sh
downloads=downloads      # where local/data.sh fetches models to: what is not there yet is checked after stage 1
data_from=               # files and folders that local/data.sh reads; when they change, stage 1 runs again
fs=16000                 # sampling rate in Hz
audio_format=wav         # format of dump/
train_set=               # name of the training set
valid_set=               # name of the validation set
test_sets=               # names of the test sets
clean_set=               # the test set without noise, whose scores are the clean row
# Speech enhancement
pretrained=              # model to import: NSNet2's .onnx file as "nsnet2", denoiser's .th file as "demucs", or the
                         # folder of an ESPnet model under its own name
import_args=             # further options of its importer, e.g. "--hidden 64" of import_demucs
se_config=               # configuration of a model to train from scratch; its name is the file's
packed=                  # folders of finished models, enhanced and scored beside those trained here
init=                    # the model that fine-tuning starts from (default: the imported or trained one)
resident=                # options of `posinv finetune`: fine-tune with all speech and noise in memory, for a GPU
finetune_config=         # configuration of the fine-tuning
criterion="ssl_mse ssl_mse_pad ssl_softdtw"  # each is conf/criterion/<name>.yaml
upstreams=               # TAG=SPEC of each SSL encoder, e.g. "hubert=transformers:facebook/hubert-base-ls960"
seeds=0                  # a fine-tuning per seed
finetune_defaults=       # the recipe's own settings of the fine-tuning, in run.sh
finetune_args=           # further settings of the fine-tuning, e.g. "--set max_epoch=4"; they come after the recipe's own
se_args=                 # further settings of the training from scratch
# Evaluation
recognisers=             # NAME=BACKEND:MODEL of each recogniser, e.g. "whisper-base=whisper:downloads/whisper-base"
heads=                   # recognisers to train on clean speech for each SSL model: "characters_blstm phones_linear" are SUPERB's
head_args=               # further options of `posinv train-ctc`, e.g. "--steps 2000 --hidden 256"
lexicon=g2p_en           # pronunciations for heads of phones: a file, g2p_en, or the first that knows a word: FILE,g2p_en
lm=                      # n-gram language model (.arpa) for heads of characters
asr_args=                # further options of `posinv decode`, e.g. "--beam-size 5"
lang=en                  # language of the test sets
spoken_max=0             # utterances of a test set for recognisers of words and signal metrics (0: all in --lang)
normaliser=              # FILE.py:FUNCTION of your own instead of the language's rules of text normalisation
metrics=pesq,estoi,si_sdr,dnsmos  # of the audio, none for no signal metrics
finetuned=               # fine-tuned models of stages 6 to 10 (default: those of stage 5)
wer_args=                # further options of `posinv score words`, e.g. "--sclite" for NIST's report beside ours
signal_args=             # further options of `posinv score signal`, e.g. "--ssl transformers:microsoft/wavlm-large"
tasks=                   # NAME=TASK:LABELS:MODEL of other tasks (doc/recognisers_and_tasks.md); LABELS: a file of a test set
probe_args=              # options of posinv probe for the upstreams, e.g. "--utterances 24"; none: no probe
results=                 # the report (default: RESULTS.md in expdir)
tag=                     # added to the names of fine-tuned models

help_message="Usage: $0 [--option value]...
Options, their defaults and meaning:
$(sed -n '/^# General/,/^help_message/{
    /^help_message/d; s/^# \(.*\)/\n\1:/; s/^\([a-z_]*\)=\([^#]*\) # \(.*\)/  --\1 \2  \3/; p
}' "${BASH_SOURCE[0]}")"

wrong() { echo "$0: $*" >&2; exit 2; }
given=("$@")
. utils/parse_options.sh
if [ $# -gt 0 ]; then  # left over: most often a list without quotes
    before=$((${#given[@]} - $#)) words=() option=''
    for word in "$@"; do [[ ${word} != --* ]] || break; words+=("${word}"); done
    [ ${before} -lt 2 ] || [[ ${given[before - 2]} != --* ]] || option="${given[before - 2]} \"${given[before - 1]}"
    [ ${before} -lt 1 ] || [[ ${given[before - 1]} != --*=* ]] || option="${given[before - 1]/=/ \"}"
    case ${option%% *} in
        --criterion | --upstreams | --seeds | --recognisers | --test[-_]sets | --tasks | --finetuned)
            option="; a list is one word between quotes: ${option} ${words[*]}\"" ;;
        *) option='' ;;
    esac
    wrong "'${words[*]}' belongs to no option${option} (--help)"
fi
. ./path.sh
. ./cmd.sh
. utils/stage.sh
[ -z "${finetune_defaults}" ] || finetune_args="${finetune_defaults}${finetune_args:+ ${finetune_args}}"

# Paths are words of lists here, parts of "path,name,type" and of init_param's "path:key" in ESPnet. Options of
# commands are split at blanks, whatever quotes are in them; settings of trainings are checked by ESPnet's parser.
for n in datadir dumpdir expdir downloads results pretrained se_config finetune_config init tag lm lexicon normaliser \
    packed criterion upstreams recognisers heads tasks finetuned data_from train_set valid_set test_sets clean_set \
    local_data_opts import_args resident head_args asr_args wer_args signal_args probe_args; do
    odd=$'\t\n"\'`$&()[]{}<>|;*?!#%\\' remedy="a link without will do (ln -s TARGET LINK)"
    case ${n} in
        packed | criterion | upstreams | recognisers | heads | tasks | finetuned | data_from | *_set*) ;;
        lexicon) odd+=' :' ;;     # several between commas
        normaliser) odd+=' ,' ;;  # FILE:FUNCTION
        *_opts | *_args | resident) odd=$'"\'`' remedy="quotes do not hold words together here; ${remedy}" ;;
        *) odd+=' ,:' ;;
    esac
    [[ ${!n} == *["${odd}"]* ]] || continue
    odd=${!n//[^"${odd}"]/}
    wrong "--${n} ${!n}: not with '${odd:0:1}' in it, please; ${remedy}"
done
for n in stage stop_stage nj train_jobs train_threads num_nodes; do
    [[ ${!n} =~ ^[1-9][0-9]*$ ]] || wrong "--${n} ${!n}: must be a whole number above 0"
done
if [ "${stage}" -gt 10 ] || [ "${stage}" -gt "${stop_stage}" ]; then
    wrong "--stage ${stage} --stop_stage ${stop_stage}: no stage to run; there are 1 to 10 (--list-stages)"
fi
for n in ngpu fs; do [[ ${!n} =~ ^[0-9]+$ ]] || wrong "--${n} ${!n}: must be a whole number"; done
for n in train_set valid_set test_sets; do [ -n "${!n}" ] || wrong "name the sets: --${n} is empty"; done
[[ ${spoken_max} =~ ^[0-9]+$ ]] || wrong "--spoken_max ${spoken_max}: must be a whole number"
for n in ${seeds}; do [[ ${n} =~ ^[0-9]+$ ]] || wrong "--seeds ${n}: whole numbers are needed"; done
[ -z "${clean_set}" ] || [[ " ${test_sets} " == *" ${clean_set} "* ]] ||
    wrong "--clean_set ${clean_set}: is none of --test_sets \"${test_sets}\""
twice=$(printf '%s\n' ${train_set} ${valid_set} ${test_sets} | sort | uniq -d | xargs)
[ -z "${twice}" ] || wrong "${twice}: named twice among --train_set, --valid_set and --test_sets"
for c in ${criterion}; do
    [ -e "conf/criterion/${c}.yaml" ] ||
        wrong "--criterion ${c}: no conf/criterion/${c}.yaml; there are $(basename -as .yaml conf/criterion/*.yaml | xargs)"
done
# What the cluster lacks is said before the first stage, not hours later.
if [ "${cmd_backend}" != local ] && ! ${list_stages} && ! ${dry_run}; then
    for c in "${train_cmd}" "${decode_cmd}" "${cuda_cmd} --gpu ${ngpu} --num_nodes ${num_nodes}"; do
        ${c} --check true "${expdir}/.check/log" true || exit 1
    done
fi

results=${results:-${expdir}/RESULTS.md} title="$(basename "$(dirname "${PWD}")"), ${expdir}"
if [ -e "${results}" ] && [ "$(head -n 1 "${results}")" != "# ${title}" ] && ! ${list_stages} && ! ${dry_run}; then
    wrong "${results} holds the report of $(head -n 1 "${results}" | cut -c 3-), this one is of ${title}: give another --results"
fi
format_cmd='' asr_cmd=''  # launchers of what needs none on one machine: processes that share what is loaded
[ "${cmd_backend}" = local ] || format_cmd=${train_cmd} asr_cmd=${decode_cmd}
posinv="${python} -m espnet_posinv"
raw=${dumpdir}/raw
se_name=$(basename "${se_config}" .yaml)
models=()                # finished models: imported, trained, fine-tuned
case ${pretrained} in
    '') ;;
    *.th) models+=(demucs) ;;
    *.onnx) models+=(nsnet2) ;;
    *) models+=("$(basename "${pretrained}")") ;;
esac
[ -n "${se_config}" ] && models+=("${se_name}")
init=${init:-${models[0]:-}}
for m in ${packed}; do models+=("$(basename "${m}")"); done
if [[ " ${models[*]} " != *" ${init} "* ]]; then
    if [ -z "${init}" ] || [ ! -e "${expdir}/${init}/config.yaml" ]; then
        wrong "--init '${init}': stage 4 makes '${models[*]}'; a model of your own comes in with --pretrained FOLDER"
    fi
    models+=("${init}")
fi
tuned=()
for u in ${upstreams}; do for c in ${criterion}; do for s in ${seeds}; do
    tuned+=("${c}_${u%%=*}${tag:+_${tag}}_seed${s}")
done; done; done
own=()                   # recognisers that stage 7 trains
for u in ${upstreams}; do for h in ${heads}; do
    case ${h} in
        characters_linear | characters_blstm | phones_linear | phones_blstm) ;;
        *) wrong "--heads ${h}: there are characters_linear, characters_blstm, phones_linear, phones_blstm" ;;
    esac
    own+=("${u%%=*}_${h}=ssl_ctc:${expdir}/asr/${u%%=*}_${h}$([[ -z ${lm} || ${h} = phones_* ]] || echo ",beam_size=50,lm=${lm}")")
done; done
judges="${own[*]} ${recognisers}"
# What training their recognisers needs is missed now, not after the fine-tuning; stage 1 may fetch a lexicon.
[ -z "${lm}" ] || [ -f "${lm}" ] || wrong "--lm ${lm}: no such file"
[[ ${heads} != *phones* ]] || for f in ${lexicon//,/ }; do
    [ -f "${f}" ] || [ "${f}" = g2p_en ] || [[ ${f} == "${downloads}"/* ]] || wrong "--lexicon ${f}: no such file, and not g2p_en"
done
trained=("${tuned[@]}")
[ -z "${finetuned}" ] || read -ra tuned <<< "${finetuned}"
sets="${train_set} ${valid_set} ${test_sets}"
model() { local f; for f in valid.loss.best.pth model.pth; do [ ! -e "${expdir}/$1/${f}" ] || break; done; echo "${expdir}/$1/${f}"; }
# FILE's lines of utterances in --lang, where SET tells languages; of them --spoken_max, evenly. What recognisers of
# words and, for time's sake, signal metrics get. Phones are recognised in every language.
spoken() {
    local out=${expdir}/spoken/${lang}/$1 new=${expdir}/spoken/${lang}/$1.${BASHPID} languages=${raw}/$2/utt2lang
    [ -e "${languages}" ] || [ "${spoken_max}" != 0 ] || { echo "$1"; return; }
    [ -e "${languages}" ] || languages=${raw}/$2/wav.scp
    mkdir -p "$(dirname "${out}")"
    awk -v lang="${lang}" -v most="${spoken_max}" '
        NR == FNR { if ($2 == lang || FILENAME !~ /utt2lang$/) ids[n++] = $1; next }
        FNR == 1 { if (!most || most > n) most = n; for (i = 0; i < most; i++) kept[ids[int(i * n / most)]] }
        $1 in kept' "${languages}" "$1" > "${new}"
    if cmp -s "${new}" "${out}"; then rm "${new}"; else mv "${new}" "${out}"; fi
    echo "${out}"
}
hears_phones() { local p=${1#*:}; grep -qs '"kind": "phones"' "${p%%,*}/config.json"; }
lexicon_of() { local p=${1#*:}; sed -n 's/^ *"lexicon": "\(.*\)".*/\1/p' "${p%%,*}/config.json"; }  # of a recogniser of phones
all_languages() { [[ ${1#*=} = ssl_ctc:* ]]; }  # RECOGNISER: its units are those of several
each() { local f=$1 x; shift; for x in "$@"; do echo "${f//%/${x}}"; done; }  # a pattern's paths

# Try what was chosen before the first stage, as far as it is there, and again before a training: settings, SSL
# models, recognisers, metrics, GPUs.
try_choices() {
    local c tried words=()
    [ "${cmd_backend}" != local ] || [ "${stop_stage}" -lt 4 ] || [ "${stage}" -gt 5 ] || words+=(--ngpu "${ngpu}")
    if [ "${stop_stage}" -ge 4 ] && [ "${stage}" -le 4 ] && [ -n "${se_config}" ]; then
        words+=(--training "${se_args} ${se_config}")
    fi
    if [ "${stop_stage}" -ge 5 ] && [ "${stage}" -le 5 ] && [ -n "${upstreams}" ]; then
        mapfile -t -O ${#words[@]} words < <(each --upstream=% ${upstreams})
        for c in ${criterion}; do
            words+=(--training "--set criterions.0.conf.upstream=LOADER:MODEL ${finetune_args} ${finetune_config} conf/criterion/${c}.yaml")
        done
    fi
    if [ "${stop_stage}" -ge 7 ] && [ "${stage}" -le 7 ]; then
        mapfile -t -O ${#words[@]} words < <(each --recogniser=% ${recognisers})
        words+=(--language "${lang}")
    fi
    [ "${stop_stage}" -lt 8 ] || [ "${stage}" -gt 8 ] || words+=(--metrics "${metrics}")
    [ ${#words[@]} -gt 0 ] || return 0
    tried=${expdir}/.stages/choices.$(cksum <<< "${words[*]}" | cut -d ' ' -f 1)
    as_made "${tried}" --value "choices=${words[*]}" > /dev/null && return 0
    echo "trying what was chosen: settings, models, recognisers"
    ${python} -m espnet_posinv recipe choices --later "${downloads}" "${words[@]}" || exit 1
    touch "${tried}"
}

# Check the data directories against what this run does with them; once, as long as they do not change.
check_data() {
    local u words=(--fs "${fs}" --train "${datadir}/${train_set}" "${datadir}/${valid_set}" --test)
    for u in ${test_sets}; do words+=("${datadir}/${u}"); done
    for u in ${upstreams}; do [ ! -e "${u#*:}" ] || words+=(--upstream "${u}"); done
    for u in ${recognisers}; do words+=(--recogniser "${u}"); done
    as_made "${expdir}/.stages/data" --value "checked=${words[*]}" --reads $(each ${datadir}/% ${sets}) > /dev/null && return 0
    ${python} -m espnet_posinv recipe check-data "${words[@]}" --nj "${nj}" || exit 1
    touch "${expdir}/.stages/data"
}

# Train exp/NAME with the merged configuration (the other arguments are recipe.config's), unless finished.
train_one() {
    local dir=${expdir}/$1 log=${expdir}/$1/train.log merged=${expdir}/.$1.yaml t job training
    alone "${expdir}/.stages/$1"; shift
    ${python} -m espnet_posinv recipe config --output "${merged}" "$@" || return 1
    if as_made "${dir}/.finished" --folder --config "${merged}" \
        --refuse "--redo true trains it again, --tag NAME another one beside it" \
        --reads $(for t in "${train_set}" "${valid_set}"; do each "${raw}/${t}/%" wav.scp spk1.scp; done); then
        echo "${dir}: finished"; rm "${merged}"; return 0
    fi
    mv "${merged}" "${dir}/train.yaml"
    echo "${dir}: training, log in ${log}"
    mapfile -t training < <(literal ${posinv} -m espnet2.bin.enh_train \
        --config "${dir}/train.yaml" --output_dir "${dir}" --ngpu "${ngpu}" --resume true \
        --train_data_path_and_name_and_type "${raw}/${train_set}/wav.scp,speech_mix,sound" \
        --train_data_path_and_name_and_type "${raw}/${train_set}/spk1.scp,speech_ref1,sound" \
        --valid_data_path_and_name_and_type "${raw}/${valid_set}/wav.scp,speech_mix,sound" \
        --valid_data_path_and_name_and_type "${raw}/${valid_set}/spk1.scp,speech_ref1,sound" \
        --train_shape_file "${raw}/${train_set}/utt2num_samples" \
        --valid_shape_file "${raw}/${valid_set}/utt2num_samples")
    OMP_NUM_THREADS=${train_threads} ${posinv} -m espnet2.bin.launch --cmd "${cuda_cmd}" --log "${log}" \
        --ngpu "${ngpu}" --num_nodes "${num_nodes}" --init_file_prefix "${dir}/.dist_init_" \
        --multiprocessing_distributed true -- "${training[@]}" 2> >(sed -u '/(launch:.*INFO/d; /^Command /,$d' >&2) &
    job=$!
    ${python} -m espnet_posinv recipe progress --log "${log}" --label "$(basename "${dir}")" --pid ${job} \
        --max-epoch "$(sed -n 's/^max_epoch: //p' "${dir}/train.yaml")"
    wait ${job} && touch "${dir}/.finished"
}

# Fine-tune exp/NAME for SEED, TAG=UPSTREAM and CRITERION with all speech and noise in memory, unless finished.
train_resident() {
    local dir=${expdir}/$1 device=cpu
    [ "${ngpu}" = 0 ] || device=cuda
    as_made "${dir}/.finished" --folder --value "seed=$2" --value "upstream=$3" --value "args=${resident}" \
        --refuse "--redo true trains it again, --tag NAME another one beside it" \
        --reads "${raw}/${train_set}/spk1.scp" "$(model "${init}")" "conf/criterion/$4.yaml" &&
        { echo "${dir}: finished"; return 0; }
    echo "${dir}: training, log in ${dir}/train.log"
    submit "${cuda_cmd} --gpu ${ngpu}" "${dir}/train.log" ${python} -m espnet_posinv finetune --model "${expdir}/${init}" \
        --criterion "conf/criterion/$4.yaml" --upstream "${3#*=}" --speech-scp "${raw}/${train_set}/spk1.scp" \
        --seed "$2" --device "${device}" --output-dir "${dir}" ${resident} && touch "${dir}/.finished"
}

# Train the recogniser UNITS_HEAD on TAG=UPSTREAM with clean speech, unless finished.
train_head() {
    local dir=${expdir}/asr/${2%%=*}_$1 device=cpu t units=(--units characters --language "${lang}") pairs=()
    [ "${ngpu}" = 0 ] || device=cuda
    [[ $1 != phones_* ]] || units=(--units phones --lexicon "${lexicon}")
    for t in "${train_set}" "${valid_set}"; do
        [ -e "${raw}/${t}/text" ] || { echo "$0: --heads $1: no ${raw}/${t}/text to train it on" >&2; return 1; }
        pairs+=("${raw}/${t}/spk1.scp" "${raw}/${t}/text")
    done
    if as_made "${dir}/config.json" --folder --value "head=$1 $2 ${units[*]//,/ } ${head_args}" \
        --refuse "--redo true trains it again" --reads "${pairs[@]}"; then
        echo "${dir}: finished"; return 0
    fi
    echo "${dir}: training, log in ${dir}/train.log"
    submit "${cuda_cmd} --gpu $((ngpu > 0))" "${dir}/train.log" ${python} -m espnet_posinv train-ctc --upstream "${2#*=}" \
        "${units[@]}" --head "${1#*_}" --device "${device}" --output-dir "${dir}" --train-scp "${pairs[0]}" \
        --train-text "${pairs[1]}" --valid-scp "${pairs[2]}" --valid-text "${pairs[3]}" ${head_args}
}

# Jobs of a model: one takes longer to start than to enhance a hundred utterances.
parts() {
    local n most=$((nj / (${#models[@]} + ${#tuned[@]})))
    n=$((($(sed -n '$=' $(each "${raw}/%/wav.scp" ${test_sets})) + 149) / 150))
    [ "${most}" -gt 0 ] || most=1
    echo $((n < most ? n : most))
}

# Enhance all test sets with one model: exp/MODEL/enhanced/SET/spk1.scp. They share jobs: SET/ID names an utterance.
enhance_one() {
    local dir=${expdir}/$1/enhanced t n todo=() keys
    for t in ${test_sets}; do
        as_made "${dir}/${t}/spk1.scp" --folder --value "fs=${fs}" \
            --reads "${raw}/${t}/wav.scp" "$(model "$1")" "${expdir}/$1/config.yaml" || todo+=("${t}")
    done
    [ ${#todo[@]} -gt 0 ] || return 0
    rm -rf "${dir}/log" "${dir}"/part.* && mkdir -p "${dir}/log"
    for t in "${todo[@]}"; do sed "s|^|${t}/|" "${raw}/${t}/wav.scp"; done > "${dir}/log/wav.scp"
    n=$(parts)
    mapfile -t keys < <(each "${dir}/log/keys.%.scp" $(seq "${n}"))
    utils/split_scp.pl "${dir}/log/wav.scp" "${keys[@]}" || return 1
    submit "${decode_cmd}" JOB=1:"${n}" "${dir}/log/enh_inference.JOB.log" ${posinv} -m espnet2.bin.enh_inference \
        --ngpu 0 --fs "${fs}" --train_config "${expdir}/$1/config.yaml" --model_file "$(model "$1")" \
        --key_file "${dir}/log/keys.JOB.scp" --data_path_and_name_and_type "${dir}/log/wav.scp,speech_mix,sound" \
        --output_dir "${dir}/part.JOB" || return 1
    for t in "${todo[@]}"; do
        for n in $(cd "${dir}" && ls -d part.*/wavs/1/"${t}"); do mv "${dir}/${n}" "${dir}/${t}/${n%%/*}"; done
        cat "${dir}"/part.*/spk1.scp | sed -n "s|^${t}/\([^ ]*\) .*/\(part\.[0-9]*\)/wavs/1/${t}/|\1 ${dir}/${t}/\2/|p" |
            sort > "${dir}/${t}/spk1.scp.tmp"
        cmp -s <(cut -d ' ' -f 1 "${dir}/${t}/spk1.scp.tmp") <(sed 's/[[:blank:]].*//' "${raw}/${t}/wav.scp" | sort) || {
            echo "$0: ${dir}/${t}: other utterances than ${raw}/${t}/wav.scp has; see ${dir}/log" >&2; return 1; }
        mv "${dir}/${t}/spk1.scp.tmp" "${dir}/${t}/spk1.scp"
    done
    rm -r "${dir}"/part.*
    echo "${dir}: $(wc -l < "${dir}/log/wav.scp") utterances enhanced"
}

# The audio of a system on a test set: a model's output, or what goes into it.
audio() { if [ "$1" = noisy ]; then echo "${raw}/$2/wav.scp"; else echo "${expdir}/$1/enhanced/$2/spk1.scp"; fi; }

# What RECOGNISER, one of phones, heard in the clean speech of SET: the reference of LPS. Nothing where the set without
# noise holds other utterances.
heard_clean() {
    hears_phones "$1" && [ -n "${clean_set}" ] || return 0
    cmp -s <(cut -d ' ' -f 1 "${raw}/$2/wav.scp") <(cut -d ' ' -f 1 "${raw}/${clean_set}/wav.scp") || return 0
    echo "${expdir}/decoded/${1%%=*}/noisy/${clean_set}/text"
}

# Count the errors of what each recogniser wrote for a system on a test set.
score_words() {
    local r out text unit args heard decoded
    for r in ${judges}; do
        text=${raw}/$2/text unit=() args="${normaliser} ${wer_args}"
        if hears_phones "${r}"; then
            [ ! -e "${raw}/$2/text_phones" ] || text=${raw}/$2/text_phones
            args+=" $(lexicon_of "${r}")"
        elif all_languages "${r}" && [ -e "${raw}/$2/utt2lang" ]; then
            unit=(--unit characters)
        else
            text=$(spoken "${text}" "$2")
        fi
        heard=$(heard_clean "${r}" "$2") r=${r%%=*} decoded=${expdir}/decoded/${r%%=*}/$1/$2/text
        out=${scores}/lps/${r}/$1/$2.json
        [ -n "${heard}" ] || rm -f "${out}"  # of another set without noise
        [ -z "${heard}" ] || as_made "${out}" --reads "${heard}" "${decoded}" ||
            ${python} -m espnet_posinv score words --ref "${heard}" --unit phones --hyp "${decoded}" --output "${out}" \
                > /dev/null || return 1
        out=${scores}/${r}/$1/$2.json
        as_made "${out}" --reads "${text}" "${decoded}" --value "lang=${lang}" --value "args=${args}" && continue
        ${python} -m espnet_posinv score words --ref "${text}" --language "${lang}" "${unit[@]}" \
            --hyp "${decoded}" --output "${out}" --normalizer "${normaliser}" ${wer_args} || return 1
    done
}

# Signal metrics and other tasks of a system on all test sets: jobs, since they compute for long.
score_audio() {
    local inf k t task labels net out ref triples=() log=${scores}/log/%.$1.log
    for t in ${test_sets}; do
        inf=$(spoken "$(audio "$1" "${t}")" "${t}") ref=$(spoken "${raw}/${t}/spk1.scp" "${t}") out=${scores}/signal/$1/${t}.json
        as_made "${out}" --reads "${ref}" "${inf}" --value "metrics=${metrics}" --value "args=${signal_args}" ||
            triples+=(--ref-scp "${ref}" --inf-scp "${inf}" --output "${out}")
        for k in ${tasks}; do
            IFS=: read -r task labels net <<< "${k#*=}"
            k=${k%%=*} out=${expdir}/tasks/${k%%=*}/$1/${t}.json
            as_made "${out}" --value "task=${task}:${net}" --reads "${inf}" "${ref}" "${raw}/${t}/${labels}" \
                "${raw}/${t}/utt2spk" && continue
            submit "${decode_cmd}" "${log//%/${k}.${t}}" ${python} -m espnet_posinv score task --task "${task}" \
                --model "${net}" --labels "${raw}/${t}/${labels}" --utt2spk "${raw}/${t}/utt2spk" --wav-scp "${inf}" \
                --clean-scp "${ref}" --output "${out}" || return 1
        done
    done
    [ ${#triples[@]} = 0 ] || submit "${decode_cmd}" "${log//%/signal}" ${python} -m espnet_posinv score signal \
        --metrics "${metrics}" ${signal_args} "${triples[@]}" || return 1
    echo "${scores}/signal/$1: ${metrics}${tasks:+; tasks: ${tasks}}"
}

if ! ${list_stages} && ! ${dry_run}; then
    if [ "${stage}" = 5 ] && [ "${stop_stage}" = 5 ]; then alone "${expdir}" --shared; else alone "${expdir}"; fi
    for t in "${datadir}" "${dumpdir}"; do
        if [ "${stage}" -le 3 ]; then alone "${t}"; else alone "${t}" --shared; fi
    done
    try_choices
fi

# What db.sh names may come from the environment, which no file shows.
named=$(if [ -e db.sh ]; then
    . ./db.sh
    # shellcheck disable=SC2013  # names
    for n in $(sed -n 's/^ *\(export \)\{0,1\}\([A-Za-z_][A-Za-z0-9_]*\)=.*/\2/p' db.sh | sort -u); do
        [ -z "${!n:-}" ] || echo "${n}=${!n}"
    done
fi)
if stage 1 "data preparation" --key "${local_data_opts}${named:+ ${named//$'\n'/ }}" --reads local/data.sh $(ls db.sh 2> /dev/null) ${data_from} \
    --writes $(each ${datadir}/%/wav.scp ${sets}); then
    read -rd '' -a words <<< "${local_data_opts}" || true  # split, but a pattern in them is not one of file names
    local/data.sh --data "${datadir}" "${words[@]}"
    check_data
    stage_done
fi

if stage 2 "perturbation: the recipe's own mixtures" --key "${local_data_opts}" \
    --reads $(ls local/perturb.sh 2> /dev/null) $(each ${datadir}/%/wav.scp ${sets}) \
    --writes $(each ${datadir}/%/wav.scp ${sets}) $(each ${datadir}/%/utt2spk ${sets}); then
    [ ! -x local/perturb.sh ] || local/perturb.sh
    stage_done
fi

if stage 3 "format audio, statistics" --key "${fs} ${audio_format}" \
    --reads $(each ${datadir}/% ${sets}) --writes $(each "${raw}/%/utt2num_samples" ${sets}); then
    check_data
    for t in ${sets}; do
        as_made "${raw}/${t}/utt2num_samples" --folder --keep --reads "${datadir}/${t}" \
            --value "fs=${fs}" --value "format=${audio_format}" ||
            ${python} -m espnet_posinv data format-data-dir --fs "${fs}" --audio-format "${audio_format}" --nj "${nj}" \
                --cmd "${format_cmd}" "${datadir}/${t}" "${raw}/${t}"
    done
    stage_done
fi

if stage 4 "enhancement models: ${models[*]}" --key "${pretrained} ${se_config} ${se_args}${import_args:+ ${import_args}}" \
    --reads ${pretrained:+"${pretrained}"} ${packed} ${se_config:+"${se_config}" $(each "${raw}/%/wav.scp" "${train_set}" "${valid_set}")} \
    --writes $(each "${expdir}/%/config.yaml" "${models[@]}"); then
    [ -z "${se_config}" ] || try_choices
    if [ -n "${pretrained}" ]; then
        case ${pretrained} in
            *.th) importer=(espnet_posinv import-demucs --checkpoint "${pretrained}") ;;
            *.onnx) importer=(espnet_posinv import-nsnet2 --onnx "${pretrained}") ;;
            *) importer=(espnet_posinv recipe pack --folder "${pretrained}") ;;
        esac
        as_made "${expdir}/${models[0]}/config.yaml" --folder --reads "${pretrained}" --value "args=${import_args}" ||
            ${python} -m "${importer[@]}" --output-dir "${expdir}/${models[0]}" ${import_args}
    fi
    for m in ${packed}; do
        mkdir -p "${expdir}/$(basename "${m}")"
        cp "${m}/config.yaml" "${m}/model.pth" "${expdir}/$(basename "${m}")"  # its loss stays, for the report
    done
    [ -z "${se_config}" ] || train_one "${se_name}" ${se_args} "${se_config}"
    stage_done
fi

if stage 5 "fine-tuning: ${trained[*]}" --key "${init} ${finetune_config} ${finetune_args} ${upstreams}${resident:+ ${resident}}" \
    --reads "${finetune_config}" "$(model "${init}")" $(each conf/criterion/%.yaml ${criterion}) \
        $(each "${raw}/%/wav.scp" "${train_set}" "${valid_set}") $(each "${raw}/%/spk1.scp" "${train_set}" "${valid_set}") \
    --writes $(each "${expdir}/%/.finished" "${trained[@]}"); then
    try_choices
    for s in ${seeds}; do for u in ${upstreams}; do for c in ${criterion}; do
        if [ -n "${resident}" ]; then
            beside "${train_jobs}" train_resident "${c}_${u%%=*}${tag:+_${tag}}_seed${s}" "${s}" "${u}" "${c}"
            continue
        fi
        beside "${train_jobs}" train_one "${c}_${u%%=*}${tag:+_${tag}}_seed${s}" --set "seed=${s}" \
            --set "init_param=[$(model "${init}")]" --set "criterions.0.conf.upstream=${u#*=}" ${finetune_args} \
            "${finetune_config}" "conf/criterion/${c}.yaml"
    done; done; done
    all_done
    stage_done
fi

if stage 6 "enhancement of the test sets" --key "${fs}" --reads $(each "${raw}/%/wav.scp" ${test_sets}) \
    $(each "${expdir}/%/.finished" "${tuned[@]}") \
    $(for m in "${models[@]}" "${tuned[@]}"; do echo "${expdir}/${m}/config.yaml" "$(model "${m}")"; done) \
    --writes $(for t in ${test_sets}; do each "${expdir}/%/enhanced/${t}/spk1.scp" "${models[@]}" "${tuned[@]}"; done); then
    for m in "${models[@]}" "${tuned[@]}"; do beside "$((nj / $(parts)))" enhance_one "${m}"; done
    all_done
    stage_done
fi

systems=(noisy "${models[@]}" "${tuned[@]}")
scores=${expdir}/scores
audios=$(for t in ${test_sets}; do for m in "${systems[@]}"; do audio "${m}" "${t}"; done; done)
texts=$(for r in ${judges}; do for t in ${test_sets}; do
    each "${expdir}/decoded/${r%%=*}/%/${t}/text" "${systems[@]}"; done; done)
scored=$(for r in ${judges} signal; do for t in ${test_sets}; do
    each "${scores}/${r%%=*}/%/${t}.json" "${systems[@]}"; done; done
    for k in ${tasks}; do for t in ${test_sets}; do each "${expdir}/tasks/${k%%=*}/%/${t}.json" "${systems[@]}"; done; done)
if stage 7 "ASR decoding: ${judges}" --key "${lang} ${spoken_max} ${judges} ${asr_args}${heads:+ ${lexicon} ${head_args}}" --reads ${audios} \
    ${heads:+$(each "${raw}/%" "${train_set}" "${valid_set}")} --writes ${texts}; then
    for u in ${upstreams}; do for h in ${heads}; do beside "${train_jobs}" train_head "${h}" "${u}"; done; done
    all_done
    for r in ${judges}; do
        pairs=()
        for t in ${test_sets}; do for m in "${systems[@]}"; do
            dir=${expdir}/decoded/${r%%=*}/${m}/${t} scp=$(audio "${m}" "${t}")
            all_languages "${r}" || scp=$(spoken "${scp}" "${t}")
            as_made "${dir}/text" --folder --reads "${scp}" \
                --value "recogniser=${r#*=}" --value "lang=${lang}" --value "args=${asr_args}" || true
            pairs+=(--wav-scp "${scp}" --output-dir "${dir}")
        done; done
        ${python} -m espnet_posinv decode --backend "$(cut -d: -f1 <<< "${r#*=}")" \
            --model "$(cut -d: -f2- <<< "${r#*=}")" --language "${lang}" ${asr_args} --nj "${nj}" --cmd "${asr_cmd}" "${pairs[@]}"
    done
    stage_done
fi

if stage 8 "scoring" --key "${lang} ${spoken_max} ${normaliser} ${metrics} ${tasks} ${wer_args} ${signal_args} ${clean_set}" \
    --reads ${texts} ${audios} $(each "${raw}/%/text" ${test_sets}) $(each "${raw}/%/spk1.scp" ${test_sets}) --writes ${scored}; then
    if [[ ${metrics} == *dnsmos* ]]; then  # a second of a core for an utterance
        n=$(sed -n '$=' $(each "${raw}/%/wav.scp" ${test_sets}))
        echo "DNSMOS of $((n * ${#systems[@]})) utterances takes about $((n * ${#systems[@]} / nj / 60 + 1)) min"
    fi
    for m in "${systems[@]}"; do
        beside "${nj}" score_audio "${m}"
        for t in ${test_sets}; do beside "${nj}" score_words "${m}" "${t}"; done
    done
    all_done
    stage_done
fi

probed=${upstreams}
[ "${probe_args}" != none ] || probed=
lps=$(for r in ${judges}; do for t in ${test_sets}; do
    [ -z "$(heard_clean "${r}" "${t}" 2> /dev/null)" ] || each "${scores}/lps/${r%%=*}/%/${t}.json" "${systems[@]}"; done; done)
pages=$(ls "${expdir}"/convergence/{,*/}section.json "${expdir}"/ablation/section.json 2> /dev/null || true)
if stage 9 "report: ${results}, ${expdir}/report.html" --key "${probed} ${probe_args} ${test_sets}, ${clean_set}" --reads ${scored} ${lps} ${audios} ${pages} \
    $(for m in "${models[@]}" "${tuned[@]}"; do echo "${expdir}/${m}/config.yaml" "$(model "${m}")"; done) \
    $(each "${raw}/%" ${test_sets}) ${probed:+$(each "${raw}/${train_set}/%" wav.scp spk1.scp)} \
    --writes "${results}" "${expdir}/report.html" $(each "${expdir}/probe/%/section.json" $(for u in ${probed}; do echo "${u%%=*}"; done)); then
    for u in ${probed}; do
        dir=${expdir}/probe/${u%%=*}
        as_made "${dir}/section.json" --folder --reads $(each "${raw}/${train_set}/%" wav.scp spk1.scp) \
            --value "upstream=${u#*=}" --value "args=${probe_args}" && continue
        echo "probing ${u#*=}: how long it takes stands in ${dir}/probe.log"
        OMP_NUM_THREADS=${train_threads} beside 1 submit "${decode_cmd}" "${dir}/probe.log" ${python} -m espnet_posinv probe \
            --upstream "${u#*=}" --data "${raw}/${train_set}" --output-dir "${dir}" ${probe_args}
    done
    all_done
    ${python} -m espnet_posinv report --output "${results}" --html "${expdir}/report.html" \
        --title "${title}" --scores-dir "${scores}" --data-dir "${raw}" \
        --exp-dir "${expdir}" --test-sets "${test_sets}" --clean-set "${clean_set}"
    stage_done
fi

if stage 10 "pack: ${expdir}/packed" --reads "${results}" \
    $(for m in "${tuned[@]}"; do echo "${expdir}/${m}/config.yaml" "$(model "${m}")"; done) \
    --writes $(each "${expdir}/packed/%/config.yaml" "${tuned[@]}"); then
    for m in "${tuned[@]}"; do
        ${python} -m espnet_posinv recipe pack --config "${expdir}/${m}/config.yaml" --model "$(model "${m}")" \
            --output-dir "${expdir}/packed/${m}"
    done
    stage_done
fi
