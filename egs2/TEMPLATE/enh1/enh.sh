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
skip_data_prep=false     # skip stages 1-3
skip_train=false         # skip stages 4-5
skip_eval=false          # skip stages 6-9
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
fs=16000                 # sampling rate in Hz
audio_format=wav         # format of dump/
train_set=               # name of the training set
valid_set=               # name of the validation set
test_sets=               # names of the test sets
clean_set=               # the test set without noise, whose scores are the clean row
# Speech enhancement
pretrained=              # model to import: NSNet2's ONNX file as "nsnet2", denoiser's checkpoint (.th) as "demucs"
import_args=             # further options of its importer, e.g. "--hidden 64" of import_demucs
se_config=               # configuration of a model to train from scratch; its name is the file's
init=nsnet2              # the model that fine-tuning starts from
finetune_config=         # configuration of the fine-tuning
criterion="ssl_mse ssl_mse_pad ssl_softdtw"  # each is conf/criterion/<name>.yaml
upstreams=               # TAG=SPEC of each SSL encoder, e.g. "hubert=transformers:facebook/hubert-base-ls960"
seeds=0                  # a fine-tuning per seed
finetune_args=           # further settings of the fine-tuning, e.g. "--set max_epoch=4"
se_args=                 # further settings of the training from scratch
# Evaluation
recognisers=             # NAME=BACKEND:MODEL of each recogniser, e.g. "whisper-base=whisper:downloads/whisper-base"
asr_args=                # further options of `posinv decode`, e.g. "--beam-size 5"
lang=en                  # language of the test sets
metrics=pesq,estoi,si_sdr,dnsmos  # of the audio, none for no signal metrics
finetuned=               # fine-tuned models of stages 6 to 10 (default: those of stage 5)
wer_args=                # further options of `posinv score words`, e.g. "--sclite" for NIST's report beside ours
signal_args=             # further options of `posinv score signal`, e.g. "--ssl transformers:microsoft/wavlm-large"
tasks=                   # NAME=TASK:LABELS:MODEL of other tasks (doc/recognisers_and_tasks.md); LABELS: a file of a test set
probe_args=              # options of bin/probe for the upstreams, e.g. "--utterances 24"; none: no probe
results=RESULTS.md       # the report
tag=                     # added to the names of fine-tuned models

help_message="Usage: $0 [--option value]...
Options, their defaults and meaning:
$(sed -n '/^# General/,/^help_message/{
    /^help_message/d; s/^# \(.*\)/\n\1:/; s/^\([a-z_]*\)=\([^#]*\) # \(.*\)/  --\1 \2  \3/; p
}' "${BASH_SOURCE[0]}")"

. utils/parse_options.sh
. ./path.sh
. ./cmd.sh
. utils/stage.sh

for n in stage stop_stage; do
    [[ ${!n} =~ ^[1-9][0-9]*$ ]] || { echo "$0: --${n} ${!n}: stages are numbers from 1 to 10 (--list-stages)" >&2; exit 2; }
done
if [ "${stage}" -gt 10 ] || [ "${stage}" -gt "${stop_stage}" ]; then
    echo "$0: --stage ${stage} --stop_stage ${stop_stage}: no stage to run; there are 1 to 10 (--list-stages)" >&2; exit 2
fi
${skip_data_prep} && [ "${stage}" -lt 4 ] && stage=4
${skip_train} && [ "${stage}" -ge 4 ] && [ "${stage}" -lt 6 ] && stage=6
${skip_eval} && [ "${stop_stage}" -gt 5 ] && stop_stage=5
if [ -z "${train_set}" ] || [ -z "${valid_set}" ] || [ -z "${test_sets}" ]; then
    echo "$0: name the sets: --train_set, --valid_set, --test_sets" >&2; exit 2
fi
for n in nj train_jobs train_threads num_nodes; do
    [[ ${!n} =~ ^[1-9][0-9]*$ ]] || { echo "$0: --${n} ${!n}: must be a whole number above 0" >&2; exit 2; }
done
for c in ${criterion}; do
    [ -e "conf/criterion/${c}.yaml" ] && continue
    echo "$0: --criterion ${c}: no conf/criterion/${c}.yaml; there are $(basename -as .yaml conf/criterion/*.yaml | xargs)" >&2; exit 2
done
# What the cluster lacks is said before the first stage, not hours later.
if [ "${cmd_backend}" != local ] && ! ${list_stages} && ! ${dry_run}; then
    for c in "${train_cmd}" "${decode_cmd}" "${cuda_cmd} --gpu ${ngpu} --num_nodes ${num_nodes}"; do
        ${c} --check true "${expdir}/.check/log" true || exit 1
    done
fi

format_cmd='' asr_cmd=''  # launchers of what needs none on one machine: processes that share what is loaded
[ "${cmd_backend}" = local ] || format_cmd=${train_cmd} asr_cmd=${decode_cmd}
posinv="${python} -m espnet_posinv"
raw=${dumpdir}/raw
se_name=$(basename "${se_config}" .yaml)
models=()                # finished models: imported, trained, fine-tuned
case ${pretrained} in '') ;; *.th) models+=(demucs) ;; *) models+=(nsnet2) ;; esac
[ -n "${se_config}" ] && models+=("${se_name}")
tuned=()
for u in ${upstreams}; do for c in ${criterion}; do for s in ${seeds}; do
    tuned+=("${c}_${u%%=*}${tag:+_${tag}}_seed${s}")
done; done; done
trained=("${tuned[@]}")
[ -z "${finetuned}" ] || read -ra tuned <<< "${finetuned}"
sets="${train_set} ${valid_set} ${test_sets}"
model() { local f; for f in valid.loss.best.pth model.pth; do [ ! -e "${expdir}/$1/${f}" ] || break; done; echo "${expdir}/$1/${f}"; }
each() { local f=$1 x; shift; for x in "$@"; do echo "${f//%/${x}}"; done; }  # a pattern's paths

# Try SSL models, recognisers and GPUs before anything is trained; needless where the stages end before their use.
try_choices() {
    [ "${stop_stage}" -ge 5 ] && [ -n "${upstreams}" ] || return 0
    ${python} -m espnet_posinv.recipe.choices $(each --upstream=% ${upstreams}) --language "${lang}" \
        $([ "${cmd_backend}" != local ] || echo "--ngpu ${ngpu}") \
        $([ "${stop_stage}" -lt 7 ] || each --recogniser=% ${recognisers}) \
        ${finetune_args} "${finetune_config}" "conf/criterion/${criterion%% *}.yaml"
}

# Train exp/NAME with the merged configuration (the other arguments are recipe.config's), unless finished.
train_one() {
    local dir=${expdir}/$1 log=${expdir}/$1/train.log; shift
    ${python} -m espnet_posinv.recipe.config --output "${dir}/train.yaml" "$@" || return 1
    [ ! -e "${dir}/.finished" ] || { echo "${dir}: finished"; return 0; }
    echo "${dir}: training, log in ${log}"
    OMP_NUM_THREADS=${train_threads} ${posinv} -m espnet2.bin.launch --cmd "${cuda_cmd}" --log "${log}" \
        --ngpu "${ngpu}" --num_nodes "${num_nodes}" --init_file_prefix "${dir}/.dist_init_" \
        --multiprocessing_distributed true -- ${posinv} -m espnet2.bin.enh_train \
        --config "${dir}/train.yaml" --output_dir "${dir}" --ngpu "${ngpu}" --resume true \
        --train_data_path_and_name_and_type "${raw}/${train_set}/wav.scp,speech_mix,sound" \
        --train_data_path_and_name_and_type "${raw}/${train_set}/spk1.scp,speech_ref1,sound" \
        --valid_data_path_and_name_and_type "${raw}/${valid_set}/wav.scp,speech_mix,sound" \
        --valid_data_path_and_name_and_type "${raw}/${valid_set}/spk1.scp,speech_ref1,sound" \
        --train_shape_file "${raw}/${train_set}/utt2num_samples" \
        --valid_shape_file "${raw}/${valid_set}/utt2num_samples" 2> >(grep -v '(launch:.*INFO' >&2) &
    local job=$!
    ${python} -m espnet_posinv.recipe.progress --log "${log}" --label "$(basename "${dir}")" --pid ${job} \
        --max-epoch "$(sed -n 's/^max_epoch: //p' "${dir}/train.yaml")"
    wait ${job} && touch "${dir}/.finished"
}

# Jobs for a test set: one takes longer to start than to enhance a hundred utterances.
parts() { local n=$((($(wc -l < "${raw}/$1/wav.scp") + 149) / 150)); echo $((n < nj ? n : nj)); }

# Enhance one test set with one model: exp/MODEL/enhanced/SET/spk1.scp
enhance_one() {
    local dir=${expdir}/$1/enhanced/$2 scp=${raw}/$2/wav.scp keys n
    [ ! -e "${dir}/spk1.scp" ] || return 0
    n=$(parts "$2")
    rm -rf "${dir}" && mkdir -p "${dir}/log"
    mapfile -t keys < <(each "${dir}/log/keys.%.scp" $(seq "${n}"))
    utils/split_scp.pl "${scp}" "${keys[@]}" || return 1
    ${decode_cmd} JOB=1:"${n}" "${dir}/log/enh_inference.JOB.log" ${posinv} -m espnet2.bin.enh_inference \
        --ngpu 0 --fs "${fs}" --train_config "${expdir}/$1/config.yaml" --model_file "$(model "$1")" \
        --key_file "${dir}/log/keys.JOB.scp" --data_path_and_name_and_type "${scp},speech_mix,sound" \
        --output_dir "${dir}/part.JOB" || return 1
    sort "${dir}"/part.*/spk1.scp > "${dir}/spk1.scp.tmp" && mv "${dir}/spk1.scp.tmp" "${dir}/spk1.scp"
    echo "${dir}: $(wc -l < "${dir}/spk1.scp") utterances enhanced"
}

# The audio of a system on a test set: a model's output, or what goes into it.
audio() { if [ "$1" = noisy ]; then echo "${raw}/$2/wav.scp"; else echo "${expdir}/$1/enhanced/$2/spk1.scp"; fi; }

# Score one system on one test set. Counting words takes no time; what computes for longer are jobs.
score_one() {
    local inf k task labels net r log=${scores}/log/%.$1.$2.log
    inf=$(audio "$1" "$2")
    for r in ${recognisers}; do
        ${python} -m espnet_posinv score words --ref "${raw}/$2/text" --language "${lang}" \
            --hyp "${expdir}/decoded/${r%%=*}/$1/$2/text" --output "${scores}/${r%%=*}/$1/$2.json" ${wer_args} || return 1
    done
    ${decode_cmd} "${log//%/signal}" ${python} -m espnet_posinv score signal --metrics "${metrics}" \
        --ref-scp "${raw}/$2/spk1.scp" --inf-scp "${inf}" --output "${scores}/signal/$1/$2.json" ${signal_args} || return 1
    for k in ${tasks}; do
        IFS=: read -r task labels net <<< "${k#*=}"
        ${decode_cmd} "${log//%/${k%%=*}}" ${python} -m espnet_posinv score task --task "${task}" --model "${net}" \
            --labels "${raw}/$2/${labels}" --utt2spk "${raw}/$2/utt2spk" --wav-scp "${inf}" \
            --clean-scp "${raw}/$2/spk1.scp" --output "${expdir}/tasks/${k%%=*}/$1/$2.json" || return 1
    done
    echo "${scores}/signal/$1/$2.json: ${metrics}${tasks:+; tasks: ${tasks}}"
}

if stage 1 "data preparation" --key "${local_data_opts}" --writes $(each ${datadir}/%/wav.scp ${sets}); then
    local/data.sh --data "${datadir}" ${local_data_opts}
    stage_done
fi

if stage 2 "perturbation: the recipe's own mixtures" --key "${local_data_opts}" \
    --reads $(each ${datadir}/%/wav.scp ${sets}) --writes $(each ${datadir}/%/utt2spk ${sets}); then
    [ ! -x local/perturb.sh ] || local/perturb.sh
    stage_done
fi

if stage 3 "format audio, statistics" --key "${fs} ${audio_format}" \
    --reads $(each ${datadir}/%/wav.scp ${sets}) --writes $(each "${raw}/%/utt2num_samples" ${sets}); then
    for t in ${sets}; do
        ${python} -m espnet_posinv data format-data-dir --fs "${fs}" --audio-format "${audio_format}" --nj "${nj}" \
            --cmd "${format_cmd}" --unknown-files drop "${datadir}/${t}" "${raw}/${t}"
    done
    stage_done
fi

if stage 4 "enhancement models: ${models[*]}" --key "${pretrained} ${se_config} ${se_args}${import_args:+ ${import_args}}" \
    --reads ${pretrained:+"${pretrained}"} $(each "${raw}/%/utt2num_samples" ${sets}) \
    --writes $(each "${expdir}/%/config.yaml" "${models[@]}"); then
    [ -z "${se_config}" ] || try_choices
    case ${pretrained} in
        '') ;;
        *.th) ${python} -m espnet_posinv import-demucs --checkpoint "${pretrained}" --output-dir "${expdir}/demucs" ${import_args} ;;
        *) ${python} -m espnet_posinv import-nsnet2 --onnx "${pretrained}" --output-dir "${expdir}/nsnet2" ${import_args} ;;
    esac
    [ -z "${se_config}" ] || train_one "${se_name}" ${se_args} "${se_config}"
    stage_done
fi

if stage 5 "fine-tuning: ${trained[*]}" --key "${init} ${finetune_config} ${finetune_args} ${upstreams}" \
    --reads "${finetune_config}" "$(model "${init}")" $(each conf/criterion/%.yaml ${criterion}) \
    --writes $(each "${expdir}/%/.finished" "${trained[@]}"); then
    try_choices
    for s in ${seeds}; do for u in ${upstreams}; do for c in ${criterion}; do
        beside "${train_jobs}" train_one "${c}_${u%%=*}${tag:+_${tag}}_seed${s}" --set "seed=${s}" \
            --set "init_param=[$(model "${init}")]" --set "criterions.0.conf.upstream=${u#*=}" ${finetune_args} \
            "${finetune_config}" "conf/criterion/${c}.yaml"
    done; done; done
    all_done
    stage_done
fi

if stage 6 "enhancement of the test sets" \
    --reads $(each "${expdir}/%/config.yaml" "${models[@]}") $(each "${expdir}/%/.finished" "${tuned[@]}") \
    --writes $(for t in ${test_sets}; do each "${expdir}/%/enhanced/${t}/spk1.scp" "${models[@]}" "${tuned[@]}"; done); then
    for m in "${models[@]}" "${tuned[@]}"; do for t in ${test_sets}; do
        beside "$((nj / $(parts "${t}")))" enhance_one "${m}" "${t}"
    done; done
    all_done
    stage_done
fi

systems=(noisy "${models[@]}" "${tuned[@]}")
scores=${expdir}/scores
if stage 7 "ASR decoding: ${recognisers}" --key "${lang} ${asr_args}" \
    --reads $(for t in ${test_sets}; do for m in "${systems[@]}"; do audio "${m}" "${t}"; done; done) \
    --writes $(for r in ${recognisers}; do for t in ${test_sets}; do
        each "${expdir}/decoded/${r%%=*}/%/${t}/text" "${systems[@]}"; done; done); then
    for r in ${recognisers}; do
        pairs=()
        for t in ${test_sets}; do for m in "${systems[@]}"; do
            pairs+=(--wav-scp "$(audio "${m}" "${t}")" --output-dir "${expdir}/decoded/${r%%=*}/${m}/${t}")
        done; done
        ${python} -m espnet_posinv decode --backend "$(cut -d: -f1 <<< "${r#*=}")" \
            --model "$(cut -d: -f2- <<< "${r#*=}")" --language "${lang}" ${asr_args} --nj "${nj}" --cmd "${asr_cmd}" "${pairs[@]}"
    done
    stage_done
fi

if stage 8 "scoring" --key "${lang} ${metrics} ${tasks}${wer_args:+ ${wer_args}}${signal_args:+ ${signal_args}}" \
    --reads $(for r in ${recognisers}; do for t in ${test_sets}; do
        each "${expdir}/decoded/${r%%=*}/%/${t}/text" "${systems[@]}"; done; done) \
    --writes $(for r in ${recognisers} signal; do for t in ${test_sets}; do
        each "${scores}/${r%%=*}/%/${t}.json" "${systems[@]}"; done; done); then
    for t in ${test_sets}; do for m in "${systems[@]}"; do beside "${nj}" score_one "${m}" "${t}"; done; done
    all_done
    stage_done
fi

probed=${upstreams}
[ "${probe_args}" != none ] || probed=
if stage 9 "report: ${results}, ${expdir}/report.html" --key "${probed} ${probe_args}" --reads $(for r in ${recognisers} signal; do for t in ${test_sets}; do
        each "${scores}/${r%%=*}/%/${t}.json" "${systems[@]}"; done; done) --writes "${results}" "${expdir}/report.html" \
    $(each "${expdir}/probe/%/probe.md" $(for u in ${probed}; do echo "${u%%=*}"; done)); then
    for u in ${probed}; do
        echo "probing ${u#*=}: log in ${expdir}/probe/${u%%=*}/probe.log"
        beside "${nj}" ${decode_cmd} "${expdir}/probe/${u%%=*}/probe.log" ${python} -m espnet_posinv probe \
            --upstream "${u#*=}" --data "${raw}/${train_set}" --output-dir "${expdir}/probe/${u%%=*}" ${probe_args}
    done
    all_done
    ${python} -m espnet_posinv report --output "${results}" --html "${expdir}/report.html" \
        --title "$(basename "$(dirname "${PWD}")"), ${expdir}" --scores-dir "${scores}" --data-dir "${raw}" \
        --exp-dir "${expdir}" --test-sets "${test_sets}" --clean-set "${clean_set}"
    stage_done
fi

if stage 10 "pack: ${expdir}/packed" --reads "${results}" \
    --writes $(each "${expdir}/packed/%/config.yaml" "${tuned[@]}"); then
    for m in "${tuned[@]}"; do
        ${python} -m espnet_posinv.recipe.pack --config "${expdir}/${m}/config.yaml" --model "$(model "${m}")" \
            --output-dir "${expdir}/packed/${m}"
    done
    stage_done
fi
