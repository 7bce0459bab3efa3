# shellcheck shell=bash disable=SC2016,SC2034,SC2154
# Stand-ins for the corpora of ESPnet's enhancement recipes: the folders, names and tables that their local/data.sh
# read, filled with short sounds. Sourced by espnet_recipes.sh; corpus_RECIPE makes one and sets
#   recipe    folder below egs2/          db       lines of db.sh
#   prepare   how local/data.sh is called enh      how stages 2 to 4 are called, empty for none

# Sounds of four lengths, all different.
sounds() {
    mkdir -p "${corpus}/sounds"
    local k
    for k in 0 1 2 3; do
        [ -e "${corpus}/sounds/${k}.wav" ] ||
            sox -n -r 16000 -b 16 "${corpus}/sounds/${k}.wav" synth "0.${k}5" sine "$((200 + 100 * k))" gain -20
    done
    number=0
}

# sound PATH...: a sound under each path; sounds of an utterance have to be made in one call.
sound() {
    local path
    for path in "$@"; do
        mkdir -p "$(dirname "${path}")"
        cp "${corpus}/sounds/$((number % 4)).wav" "${path}"
    done
    number=$((number + 1))
}

# stages SCRIPT TRAIN VALID TESTS OPTIONS...: data stages of a template; with speed perturbation where it can be
# had: ESPnet's templates lose noise references, enrolments and utt2category by it.
stages() {
    local script=$1 train=$2 valid=$3 tests=$4 speed="--speed_perturb_factors '0.9 1.0'"
    shift 4
    case " ${script} $* " in *enh_asr.sh* | *_ref\ true* | *is_tse_task\ true*) speed= ;; esac
    echo "./${script} --stage 2 --stop_stage 4 --nj 1 --train_set ${train} --valid_set ${valid} --test_sets '${tests}'" \
        "${speed} --min_wav_duration 0.2 --audio_format wav --fs 16k $*"
}

corpus_vctk_noisy_enh1() {
    recipe=vctk_noisy/enh1 db="NOISY_SPEECH=${corpus}/vctk"
    local s k
    for s in p226 p287 p231 p232; do for k in 001 002 003; do
        sound "${corpus}"/vctk/{clean,noisy}_trainset_28spk_wav/${s}_${k}.wav
    done; done
    sound "${corpus}"/vctk/{clean,noisy}_testset_wav/p257_001.wav
    sound "${corpus}"/vctk/{clean,noisy}_testset_wav/p257_002.wav
    enh=$(stages enh.sh tr_26spk cv_2spk tt_2spk --ref_num 1)
}

corpus_vctk_noisyreverb_enh1() {
    recipe=vctk_noisyreverb/enh1 db="NOISY_REVERBERANT_SPEECH=${corpus}/vctkr NOISY_SPEECH=${corpus}/vctkr"
    local set s k
    mkdir -p "${corpus}/vctkr/logfiles"
    for set in testset:p232,p257 trainset_28spk:p226,p227 trainset_56spk:p345,p347,p376; do
        : > "${corpus}/vctkr/logfiles/log_${set%:*}.txt"
        for s in $(tr , ' ' <<< "${set#*:}"); do for k in 003 001 002; do
            echo "${s}_${k} cafe 10" >> "${corpus}/vctkr/logfiles/log_${set%:*}.txt"
            sound "${corpus}/vctkr/noisyreverb_${set%:*}_wav/${s}_${k}.wav" "${corpus}/vctkr/clean_${set%:*}_wav/${s}_${k}.wav"
        done; done
    done
    enh=$(stages enh.sh train valid testset --ref_num 1)
}

corpus_ms_snsd_enh1() {
    recipe=ms_snsd/enh1 db="MS_SNSD=${corpus}/snsd"
    prepare="mkdir -p data && cp -r ${corpus}/snsd data/ms_snsd_wav && local/data.sh --stage 2"
    local set k
    for set in train test; do for k in 1 2 3 4 5 6 7 8 9 10 11; do
        sound "${corpus}/snsd/${set}/noisy/noisy${k}_SNRdb_0_clnsp${k}.wav" "${corpus}/snsd/${set}/clean/clnsp${k}.wav" \
            "${corpus}/snsd/${set}/noise/noisy${k}_SNRdb_0.wav"
    done; done
    enh=$(stages enh.sh tr_ms_snsd cv_ms_snsd tt_ms_snsd --ref_num 1 --use_noise_ref true)
}

# dns FOLDER PATTERN: what the challenge's synthesizer leaves.
dns() {
    local k
    for k in $(seq 0 10); do
        sound "$1/noisy/$2_${k}.wav" "$1/clean/clean_fileid_${k}.wav" "$1/noise/noise_fileid_${k}.wav"
    done
}

corpus_dns_ins20_enh1() {
    recipe=dns_ins20/enh1 db="DNS=${corpus}/dns"
    prepare="mkdir -p data && cp -r ${corpus}/dns data/dns_wav && local/data.sh --stage 2"
    dns "${corpus}/dns" book_1_reader_0123_x_snr0_fileid
    local rev k
    for k in 1 2; do
        for rev in with no; do
            sound "${corpus}/dns/datasets/test_set/synthetic/${rev}_reverb/noisy/clnsp_snr5_fileid_${k}.wav" \
                "${corpus}/dns/datasets/test_set/synthetic/${rev}_reverb/clean/clean_fileid_${k}.wav"
        done
        sound "${corpus}/dns/datasets/test_set/real_recordings/audioset_${k}.wav"
    done
    enh=$(stages enh.sh tr_synthetic cv_synthetic "tt_synthetic_no_reverb tt_synthetic_with_reverb" --ref_num 1 --use_noise_ref true)
}

corpus_dns_icassp21_enh1() {
    recipe=dns_icassp21/enh1 db="DNS2=${corpus}/dns2"
    prepare="mkdir -p data && cp -r ${corpus}/dns2 data/dns_wav && local/data.sh --stage 2"
    dns "${corpus}/dns2" book_1_snr0_fileid
    local k top=${corpus}/dns2/datasets/dev_testset_wideband/track_1
    for k in 1 2; do
        sound "${top}/synthetic/noisy/ms_realrec_german_snr5_fileid_${k}.wav" "${top}/synthetic/clean/ms_realrec_clean_fileid_${k}.wav"
        sound "${top}/real_recordings/audioset_${k}.wav"
    done
    enh=$(stages enh.sh tr_synthetic cv_synthetic tt_synthetic_track_1 --ref_num 1)
}

corpus_dns_ins21_enh1() {
    corpus_dns_icassp21_enh1
    recipe=dns_ins21/enh1 db="DNS3=${corpus}/dns2"
    prepare="mkdir -p data && cp -r ${corpus}/dns2 data/dns_wav && local/dns_data_prep.sh data/dns_wav ${corpus}/dns2/datasets/dev_testset_wideband"
}

corpus_dns_icassp22_enh1() {
    recipe=dns_icassp22/enh1 db="DNS4=${corpus}/dns4" prepare="local/data.sh --stage 2"
    dns "${corpus}/dns4/dns_wav" book_1_snr0_fileid
    enh=$(stages enh.sh tr_synthetic cv_synthetic "cv_synthetic tt_synthetic" --ref_num 1)
}

# librimix: simulated mixtures with their tables, and the transcripts of LibriSpeech.
librimix() {
    local libri=${corpus}/LibriSpeech mix=${corpus}/LibriMix/libri_mix/Libri2Mix/wav16k/max part set one two id dir s
    mkdir -p "${mix}/metadata"
    rm -rf "${libri}"
    mkdir -p "${libri}"
    for set in train-100:train-clean-100:19,26,27 train-360:train-clean-360:14,16,17 dev:dev-clean:84,174,251 test:test-clean:61,121,237; do
        IFS=: read -r part dir s <<< "${set}"
        rm -f "${mix}/metadata/mixture_${part}_mix_both.csv"
        for one in ${s//,/ }; do
            echo "${one} | F | ${dir} | 25 | x" >> "${libri}/SPEAKERS.TXT"
            mkdir -p "${libri}/${dir}/${one}/7"
            printf '%s-7-0001 ONE WORD\n%s-7-0002 TWO\n' "${one}" "${one}" > "${libri}/${dir}/${one}/7/${one}-7.trans.txt"
            sound "${libri}/${dir}/${one}/7/${one}-7-0001.flac" "${libri}/${dir}/${one}/7/${one}-7-0002.flac"
            for two in ${s//,/ }; do
                [ "${one}" != "${two}" ] || continue
                id=${one}-7-0001_${two}-7-0002
                sound "${mix}/${part}"/{mix_both,s1,s2,noise}/"${id}".wav
                [ -e "${mix}/metadata/mixture_${part}_mix_both.csv" ] ||
                    echo mixture_ID,mixture_path,source_1_path,source_2_path,noise_path,length > "${mix}/metadata/mixture_${part}_mix_both.csv"
                echo "${id},${mix}/${part}/mix_both/${id}.wav,${mix}/${part}/s1/${id}.wav,${mix}/${part}/s2/${id}.wav,${mix}/${part}/noise/${id}.wav,8000" \
                    >> "${mix}/metadata/mixture_${part}_mix_both.csv"
            done
        done
    done
    db="LIBRISPEECH=${libri}"
}

corpus_librimix_enh1() {
    librimix
    recipe=librimix/enh1
    prepare="mkdir -p data && ln -s ${corpus}/LibriMix data/LibriMix && local/data.sh --stage 2"
    enh=$(stages enh.sh train dev test --ref_num 2 --use_noise_ref true)
}

corpus_librimix_tse1() {
    librimix
    recipe=librimix/tse1
    local set mix=${corpus}/LibriMix/libri_mix/Libri2Mix/wav16k/max
    # wget brings this file: each talker of a mixture is enrolled by a file of another one
    for set in dev test; do
        (cd "${mix}/${set}/s1" && for f in *.wav; do
            f=${f%.wav}
            other=$(find . -name "${f%%-*}-*" ! -name "${f}.wav" | sort | head -n 1)
            echo "${f} ${f%_*} s1/$(basename "${other}" .wav)"
            echo "${f} ${f#*_} s2/${f}"
        done) > "${corpus}/map_${set}"
    done
    cat > "${work}/bin/wget" << END
#!/bin/sh
case "\$2" in */mixture2enrollment) cp "${corpus}/map_\$(basename "\$(dirname "\$2")")" "\$2" ;; esac
END
    prepare="mkdir -p data && ln -s ${corpus}/LibriMix data/LibriMix && local/data.sh --stage 1"
    enh=$(stages enh.sh train dev test --ref_num 2 --is_tse_task true)
}

corpus_mini_an4_enh1() {
    recipe=mini_an4/enh1
    prepare="tar -xf ../asr1/downloads.tar.gz && local/data.sh --stage 2"
    enh=$(stages enh.sh train_nodev train_dev "train_dev test" --ref_num 1 --extra_wav_list "'rirs.scp noises.scp'")
}

corpus_mini_an4_enh_asr1() {
    recipe=mini_an4/enh_asr1
    prepare="tar -xf ../asr1/downloads.tar.gz && local/data.sh --stage 2"
    enh=$(stages enh_asr.sh train_nodev train_dev "test test_seg" --lm_train_text data/train_nodev/text_spk1)
}

corpus_mini_an4_tse1() {
    recipe=mini_an4/tse1
    prepare="tar -xf ../asr1/downloads.tar.gz && local/data.sh --stage 2"
    enh=$(stages enh.sh train_nodev test "train_dev test" --ref_num 1 --is_tse_task true)
}

corpus_l3das22_enh1() {
    recipe=l3das22/enh1 db="L3DAS22=${corpus}/l3das" prepare="local/data.sh --stage 2"
    local set k
    for set in dev test train100 train360_1 train360_2; do for k in 1 2 3 4; do
        id=$((100 + k))-${#set}${set//[!0-9]/}-000${k}
        sound "${corpus}/l3das/L3DAS22_Task1_${set}/labels/${id}.wav"
        echo "SOME WORDS ${k}" > "${corpus}/l3das/L3DAS22_Task1_${set}/labels/${id}.txt"
        for mic in A B; do
            mkdir -p "${corpus}/l3das/L3DAS22_Task1_${set}/data"
            sox "${corpus}/l3das/L3DAS22_Task1_${set}/labels/${id}.wav" -c 4 "${corpus}/l3das/L3DAS22_Task1_${set}/data/${id}_${mic}.wav"
        done
    done; done
    enh=$(stages enh.sh train_multich dev_multich test_multich --ref_num 1)
}

corpus_clarity21_enh1() {
    recipe=clarity21/enh1 prepare="bash local/data.sh --clarity_root ${corpus}/clarity"
    local set k c
    mkdir -p "${corpus}/clarity/metadata"
    for set in train dev; do
        for k in S01 S02 S03; do for c in mixed_CH1 mixed_CH2 mixed_CH3 interferer_CH1 target_CH1; do
            mkdir -p "${corpus}/clarity/${set}/scenes"
            sox "${corpus}/sounds/2.wav" -c 2 "${corpus}/clarity/${set}/scenes/${k}_${c}.wav"
        done; done
        echo '[{"scene": "S01"}, {"scene": "S02"}, {"scene": "S03"}]' > "${corpus}/clarity/metadata/scenes.${set}.json"
    done
    enh=$(stages enh.sh train dev dev --ref_num 1 --use_noise_ref true)
}

corpus_musdb18_enh1() {
    recipe=musdb18/enh1 prepare="mkdir -p data && ln -s ${corpus}/musdb data/musdb18 && local/data.sh --stage 1 --sample_rate 16k"
    local set name part
    for set in train:"A Band - Song" train:"Actions - One Minute Smile" train:"B - It's (so)" test:"C - D"; do
        for part in mixture drums bass vocals other; do
            mkdir -p "${corpus}/musdb/${set%%:*}/${set#*:}"
            sox "${corpus}/sounds/3.wav" -c 2 "${corpus}/musdb/${set%%:*}/${set#*:}/${part}.wav"
        done
    done
    db="MUSDB18=${corpus}/musdb"
    enh=$(stages enh.sh train_16k dev_16k test_16k --ref_num 4)
    enh=${enh/--speed_perturb_factors \'0.9 1.0\'/} # ESPnet's perturbation does not quote its paths, which have blanks here
}

corpus_lt_slurp_spatialized_enh1() {
    recipe=lt_slurp_spatialized/enh1 db="SLURP=${corpus}/slurp SLURP_S=${corpus}/slurp_s LIBRITRANS_S=${corpus}/lt_s"
    prepare="local/data.sh --stage 2"
    mkdir -p "${corpus}/slurp/dataset/slurp"
    touch "${corpus}/slurp/LICENSE.txt"
    python3 - "${corpus}" << 'END'
import json, pathlib, sys
top = pathlib.Path(sys.argv[1])
records = {}
def write(folder, items):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metadata.json").write_text(json.dumps(items))
n = 0
for sub in ("tr", "cv", "tt", "tt_qut"):
    write(top / "lt_s" / sub, [{"id": f"{sub}{k}", "speech": [{"source": {"file": f"x/{k}{k}-{sub}-000{k}.wav", "spkid": f"{k}{k}"}}]} for k in (3, 1, 2)])
for sub in ("tr_real", "tr_synthetic", "cv", "tt", "tt_qut"):
    items = []
    for k in (2, 1):
        n += 1
        name = f"audio-15{n:03d}.flac"
        records[n] = {"recordings": {name: {"usrid": f"FE-{k}"}}}
        items.append({"id": f"{sub}{k}", "speech": [{"source": {"file": f"x/{name}"}}]})
    write(top / "slurp_s" / sub, items)
(top / "slurp/dataset/slurp/metadata.json").write_text(json.dumps(records))
END
    local f
    for f in lt_s/{tr,cv,tt,tt_qut} ; do for k in 1 2 3; do sound "${corpus}/${f}"/{s0_dry,mixture}/"${f#*/}${k}.wav"; done; done
    for f in slurp_s/{tr_real,tr_synthetic,cv,tt,tt_qut}; do for k in 1 2; do sound "${corpus}/${f}"/{s0_dry,mixture}/"${f#*/}${k}.wav"; done; done
    enh=$(stages enh.sh train devel "lt_test slurp_test" --ref_num 1)
}

# wsj: the discs of WSJ0 and WSJ1 with their indices, transcripts and speakers.
wsj() {
    local w0=${corpus}/wsj0 w1=${corpus}/wsj1 disc spk k
    rm -rf "${w0}" "${w1}"
    mkdir -p "${w0}"/11-{1,2,3,4,13}.1 "${w1}"/13-{1,16,32,33,34}.1
    mkdir -p "${w0}"/11-13.1/wsj0/doc/indices/{train,test/nvp} "${w1}"/13-32.1/wsj1/doc/{indices/wsj1/eval,evl_spok} \
        "${w1}"/13-34.1/wsj1/doc/{indices,dev_spok,train} "${w1}"/13-32.1/wsj1/doc/lng_modl/lm_train/np_data/{87,88,89}
    # talk DISC FOLDER INDEX SUFFIX SPEAKER: two utterances, their transcripts, and their lines in an index
    talk() {
        local top=${w0} half=wsj0
        case $1 in 13*) top=${w1} half=wsj1 ;; esac
        mkdir -p "${top}/$1/${half}/$2/$5"
        : > "${top}/$1/${half}/$2/$5/${5}c0200.dot"
        for k in 01 02; do
            sound "${top}/$1/${half}/$2/$5/${5}c02${k}.wv1"
            echo "Some words, [noise] number ${k} (${5}c02${k})" >> "${top}/$1/${half}/$2/$5/${5}c0200.dot"
            [ -z "$3" ] || echo "$(tr .- __ <<< "${1}"): ${half}/$2/$5/${5}c02${k}$4" >> "$3"
        done
        echo "$5 F x" >> "${w0}/11-13.1/wsj0/doc/spkrinfo.txt"
    }
    for spk in 011 012; do talk 11-1.1 si_tr_s "${w0}/11-13.1/wsj0/doc/indices/train/tr_s_wv1.ndx" .wv1 ${spk}; done
    talk 13-1.1 si_tr_s "${w1}/13-34.1/wsj1/doc/indices/si_tr_s.ndx" .wv1 46u
    talk 11-13.1 si_et_20 "${w0}/11-13.1/wsj0/doc/indices/test/nvp/si_et_20.ndx" "" 440
    talk 11-13.1 si_et_05 "${w0}/11-13.1/wsj0/doc/indices/test/nvp/si_et_05.ndx" "" 441
    talk 13-33.1 si_et_h1 "${w1}/13-32.1/wsj1/doc/indices/wsj1/eval/h1_p0.ndx" .wv1 4oa
    talk 13-33.1 si_et_h2 "${w1}/13-32.1/wsj1/doc/indices/wsj1/eval/h2_p0.ndx" .wv1 4ob
    talk 13-34.1 si_dt_h1 "${w1}/13-34.1/wsj1/doc/indices/h1_p0.ndx" .wv1 4k0
    talk 13-34.1 si_dt_h2 "${w1}/13-34.1/wsj1/doc/indices/h2_p0.ndx" .wv1 4k1
    talk 13-16.1 si_dt_20 "" "" 4ka
    talk 13-16.1 si_dt_05 "" "" 4kb
    for disc in 32.1/wsj1/doc/evl_spok 34.1/wsj1/doc/dev_spok 34.1/wsj1/doc/train; do echo "46u M x" > "${w1}/13-${disc}/spkrinfo.txt"; done
    for disc in 87 88 89; do echo "some words" | gzip > "${w1}/13-32.1/wsj1/doc/lng_modl/lm_train/np_data/${disc}/a.z"; done
    mkdir -p "${w0}/11-2.1"
    # shellcheck disable=SC2016
    printf '#!/bin/sh\nfor url; do case "$url" in *spkrinfo.txt) seq 134 | sed "s/$/ F/" > wsj0-train-spkrinfo.txt ;; esac; done\n' > "${work}/bin/wget"
    printf '#!/bin/sh\nhead -n 2 "$3"\n' > "${work}/bin/shuf" # the choice must be the same in both runs
    chmod +x "${work}/bin/shuf"
    db="WSJ0=${w0} WSJ1=${w1}"
}

# made SCRIPT FOLDER: in place of a script that simulates mixtures, what it would have made.
made() {
    printf 'mkdir -p data && rm -f local/%s && printf "#!/bin/sh\\ncp -rn %s data/\\n" > local/%s && chmod +x local/%s && ' "$1" "$2" "$1" "$1"
}

# mixtures FOLDER NAMES...: three mixtures of two talkers in each subfolder, for tr, cv and tt.
mixtures() {
    local top=$1 set id folder paths
    shift
    for set in tr cv tt; do for id in 011c0201_0.5_012c0202_-0.5 012c0201_1_011c0202_-1 012c0202_2_011c0201_-2; do
        paths=()
        for folder in "$@"; do paths+=("${top}/${set}/${folder}/${id}.wav"); done
        sound "${paths[@]}"
    done; done
}

corpus_wham_enh1() {
    wsj
    recipe=wham/enh1
    wham "${corpus}/wham/data/wham" wham_scripts mix_both mix_clean mix_single noise s1 s2
    prepare="$(made wham_create_mixture.sh "${corpus}/wham/data/wham")local/data.sh"
    enh=$(stages enh.sh tr_mix_both_min_8k cv_mix_both_min_8k tt_mix_both_min_8k --ref_num 2 --use_noise_ref true)
}

# wham TOP SCRIPTS FOLDERS...: mixtures and the tables of their names.
wham() {
    local top=$1 scripts=$2 set
    shift 2
    mixtures "${top}/2speakers/wav8k/min" "$@"
    mkdir -p "${top}/${scripts}/data"
    for set in tr cv tt; do
        (echo output_filename,x && cd "$(find "${top}/2speakers/wav8k/min/${set}" -name "s1*" | head -n 1)" && find . -name '*.wav' | sed 's:^\./::; s:$:,x:' | sort -r | uniq) \
            > "${top}/${scripts}/data/mix_2_spk_filenames_${set}.csv"
    done
}

corpus_whamr_enh1() {
    wsj
    recipe=whamr/enh1
    wham "${corpus}/whamr/data/whamr" whamr_scripts {mix_both,mix_clean,mix_single,s1,s2}_{anechoic,reverb} noise
    for set in tr cv tt; do
        (echo output_filename,x && cd "${corpus}/whamr/data/whamr/2speakers/wav8k/min/${set}/noise" && find . -name '*.wav' | sed 's:^\./::; s:$:,x:' | sort -r) \
            > "${corpus}/whamr/data/whamr/whamr_scripts/data/mix_2_spk_filenames_${set}.csv"
    done
    prepare="$(made whamr_create_mixture.sh "${corpus}/whamr/data/whamr")local/data.sh"
    enh=$(stages enh.sh tr_mix_both_reverb_min_8k cv_mix_both_reverb_min_8k tt_mix_both_reverb_min_8k --ref_num 2 \
        --use_noise_ref true --use_dereverb_ref true --dereverb_ref_num 1)
}

# wsj0_2mix: mixtures, the lists of their names, and what convert2wav.sh leaves of WSJ0.
wsj0_2mix() {
    wsj
    local top=${corpus}/wsj0_2mix/data/wsj0_mix set length id
    for length in min max; do
        mixtures "${top}/2speakers/wav8k/${length}" mix s1 s2
        mkdir -p "${top}/scripts"
        for set in tr cv tt; do
            for id in "${top}/2speakers/wav8k/${length}/${set}/mix/"*.wav; do basename "${id}" .wav; done > "${top}/scripts/mix_2_spk_${length}_${set}_mix"
        done
    done
    prepare="$(made wsj0_create_mixture.sh "${top}")"
}

corpus_wsj0_2mix_enh1() {
    wsj0_2mix
    recipe=wsj0_2mix/enh1 prepare+="local/data.sh"
    enh=$(stages enh.sh tr_min_8k cv_min_8k tt_min_8k --ref_num 2)
}

corpus_wsj0_2mix_mixit_enh1() {
    wsj0_2mix
    recipe=wsj0_2mix/mixit_enh1 prepare+="local/data.sh"
    enh=$(stages enh.sh tr_min_8k_w_1spk_utt cv_min_8k tt_min_8k --ref_num 2)
}

corpus_wsj0_2mix_tse1() { # the lists of enrolments are made by hand from speaker embeddings
    wsj0_2mix
    recipe=wsj0_2mix/tse1 prepare+="local/data.sh"
}

corpus_wsj0_2mix_spatialized_enh1() {
    wsj0_2mix
    recipe=wsj0_2mix_spatialized/enh1
    local top=${corpus}/wsj0_2mix_spatialized/data/wsj0_mix_spatialized room
    for room in anechoic reverb; do mixtures "${top}/2speakers_${room}/wav8k/min" mix s1 s2; done
    prepare+="$(made spatialize_wsj0_mix.sh "${top}")local/data.sh"
    enh=$(stages enh.sh tr_spatialized_multi_multich_min_8k cv_spatialized_multi_multich_min_8k \
        "tt_spatialized_anechoic_multich_min_8k tt_spatialized_reverb_multich_min_8k" --ref_num 2)
}

corpus_chime1_enh1() {
    recipe=chime1/enh1 db="CHIME1=${corpus}/chime1"
    local s top=${corpus}/chime1/PCCdata16kHz
    for s in $(seq 34); do
        sound "${top}/train/reverberated/id${s}/lbab1a.wav"
        sound "${top}"/devel/isolated/{0dB,3dB,6dB,9dB,m3dB,m6dB,clean}/s"${s}"_bgaa9p.wav
    done
    sound "${top}/train/background/living room.wav"
    mkdir -p "${corpus}/chime1/PCCextradata16kHz/backgrounds/devel"
    prepare="printf 'import sys\nopen(sys.argv[-1], \"w\").writelines(open(sys.argv[1]))\n' > local/prepare_devel_noise1_scp.py; local/data.sh"
    enh=$(stages enh.sh train_16k devel_16k devel_16k --ref_num 1)
}

# wsj0_pairs RECIPE FOLDER NOISY CLEAN: what the recipe's Python script simulates from WSJ0.
wsj0_pairs() {
    local set k
    for set in train valid test; do for k in 1 2 3; do
        sound "${corpus}/$1/data/$2/${set}/"{"$3","$4"}/01${k}c020${k}.wav
    done; done
    printf '#!/bin/sh\n' > "${work}/bin/pip3"
    chmod +x "${work}/bin/pip3"
    recipe=$1 db="WSJ0=${corpus}/sounds CHIME3=${corpus}/sounds"
    prepare="$(made convert2wav.sh "${corpus}/$1/data/${2%%/*}"): > local/create_${1%/*}.py; local/data.sh"
    enh=$(stages enh.sh train valid test --ref_num 1)
}
corpus_wsj0_chime3_enh1() { wsj0_pairs wsj0_chime3/enh1 wsj_chime3 noisy clean; }
corpus_wsj0_reverb_enh1() { wsj0_pairs wsj0_reverb/enh1 wsj_reverb/audio reverb anechoic; }

corpus_universal_se_v1_enh1() {
    recipe=universal_se_v1/enh1 prepare="cp -r ${corpus}/universal data && local/data.sh --stage 3"
    local set dir k utt
    for set in dns20_{tr,cv}_synthetic vctk_noisy_{tr_26spk,cv_2spk} whamr_{tr,cv}_mix_single_{anechoic,reverb}_max_16k \
        chime4_{tr,dt}05_simu_isolated_6ch_track reverb_tr_simu_8ch_multich; do
        dir=${corpus}/universal/${set}
        mkdir -p "${dir}"
        for k in 1 2 3; do
            utt=${set}_${k}
            sound "${dir}"_{noisy,clean}/${k}.wav
            echo "${utt} ${dir}_noisy/${k}.wav" >&3
            echo "${utt} ${dir}_clean/${k}.wav" >&4
            echo "${utt} ${set%%_*}" >&5
            echo "${utt} 16000" >&6
            echo "${utt} 1ch" >&7
        done 3> "${dir}/wav.scp" 4> "${dir}/spk1.scp" 5> "${dir}/utt2spk" 6> "${dir}/utt2fs" 7> "${dir}/utt2category"
        ln -sf spk1.scp "${dir}/dereverb1.scp"
        echo "${set%%_*} ${set}_1 ${set}_2 ${set}_3" > "${dir}/spk2utt"
    done
    enh=$(stages enh.sh train_dns20_vctk_whamr_chime4_reverb valid_dns20_vctk_whamr_chime4 dns20_cv_synthetic --ref_num 1 \
        --use_dereverb_ref true)
}
