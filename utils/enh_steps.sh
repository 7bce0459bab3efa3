# shellcheck shell=bash
# What the stages of an enhancement recipe call, sourced by enh.sh: each function finds what is finished, and makes
# what is missing. They read enh.sh's options and lists. Lists are words between blanks, so they are meant to be split:
# shellcheck disable=SC2034,SC2046,SC2086,SC2154

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
