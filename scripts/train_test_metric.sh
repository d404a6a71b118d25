#!/usr/bin/env bash
# Trains a metric on all three training sets of BAPPS, then scores it on every validation set.
#
#     scripts/train_test_metric.sh OUT --bapps-dir DIR     or --data-dir DIR, and any option of `lpips-tf train`,
#                                                          such as --net vgg or --mode tune
#
# OUT is the folder of the run, which a later call goes on with; scores are written to OUT/scores.txt and the
# distances that they come from to OUT/distances.csv.
set -euo pipefail

if [ $# -lt 3 ] || [[ $1 == -* ]]; then
    sed -n '2,/^$/s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
out=$1
shift
for option in "$@"; do
    case $option in
    --output | --output=* | --datasets | --datasets=*)
        echo "train_test_metric.sh: expected no ${option%%=*}: it is given as OUT, or fixed" >&2
        exit 2
        ;;
    esac
done

lpips-tf train --resume --datasets train/traditional train/cnn train/mix --output "$out" "$@"

# The options that `evaluate` needs too.
shared=(--head-weights "$out/heads.h5")
if [ -e "$out/backbone.h5" ]; then
    shared+=(--backbone-weights "$out/backbone.h5")
fi
while [ $# -gt 0 ]; do
    case $1 in
    --net | --version | --bapps-dir | --data-dir)
        shared+=("$1" "$2")
        shift
        ;;
    --net=* | --version=* | --bapps-dir=* | --data-dir=*) shared+=("$1") ;;
    esac
    shift
done
lpips-tf evaluate "${shared[@]}" --save-distances "$out/distances.csv" | tee "$out/scores.txt"
