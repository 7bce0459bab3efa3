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
. utils/enh_steps.sh

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
