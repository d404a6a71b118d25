#!/usr/bin/env bash
# Reproduces the rows of the paper's Table 5 (Zhang et al., CVPR 2018) that this project has models for, beside the
# published numbers: 2AFC scores on the six validation sets of BAPPS.
#
#     scripts/evaluate_paper.sh OUT --bapps-dir DIR     or --data-dir DIR, as of `lpips-tf evaluate`
#
# Each model's report is kept as OUT/*.json, and not computed again by a later run; the table is OUT/table5.md too.
set -euo pipefail

if [ $# -lt 3 ] || [[ $1 == -* ]]; then
    sed -n 's/^# \{0,1\}//p' "$0" | tail -n +2 >&2
    exit 2
fi
out=$1
shift
mkdir -p "$out"
if [ -e "$out/arguments.txt" ] && [ "$(cat "$out/arguments.txt")" != "$*" ]; then
    echo "evaluate_paper.sh: expected a folder for reports with $*. Received: $out, with $(cat "$out/arguments.txt")" >&2
    exit 1
fi
echo "$*" > "$out/arguments.txt"

evaluate() { # the report's name, the other arguments
    local report=$out/$1.json
    shift
    [ -e "$report" ] && return
    echo "lpips-tf evaluate $*" >&2
    if lpips-tf evaluate --json "$@" > "$report.part"; then
        mv "$report.part" "$report"
    else
        rm "$report.part"
        return 1
    fi
}

evaluate l2 --model l2 "$@"
evaluate dssim --model dssim "$@"
for net in alex vgg squeeze; do
    # SqueezeNet's weights may need a download; without them the other rows are still worth having.
    for version in 0.1 0.0; do
        evaluate "baseline-$net-$version" --model baseline --net $net --version $version "$@" || [ $net = squeeze ]
        evaluate "lpips-$net-$version" --model lpips --net $net --version $version "$@" || [ $net = squeeze ]
    done
done
python "$(dirname "$0")/paper_table.py" "$out" | tee "$out/table5.md"
