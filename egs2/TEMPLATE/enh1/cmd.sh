# shellcheck shell=bash disable=SC2034
# How jobs run: cmd_backend (local, slurm or sge) chooses the launcher; to be sourced from the recipe's folder.
# Options of a launcher stand behind its name, e.g. decode_cmd="slurm.pl --mem 8G --time 2:00:00 --partition cpu";
# those that every job of a site needs belong into conf/slurm.local.conf or conf/queue.local.conf.

case ${cmd_backend:=local} in
    local)
        train_cmd="run.pl"             # data preparation
        cuda_cmd="run.pl"              # training
        decode_cmd="run.pl --mem 2G"   # enhancement, recognition, scoring
        ;;
    slurm)
        train_cmd="slurm.pl --mem 2G"
        # Warned two minutes before its time limit, a training saves its state and goes back into the queue.
        cuda_cmd="slurm.pl --mem 8G --requeue 120"
        decode_cmd="slurm.pl --mem 4G"
        ;;
    sge)
        train_cmd="queue.pl --mem 2G"
        cuda_cmd="queue.pl --mem 8G --requeue 120"
        decode_cmd="queue.pl --mem 4G"
        ;;
    *)
        echo "cmd.sh: cmd_backend=${cmd_backend}: must be local, slurm or sge" >&2
        return 1
        ;;
esac
