#!/usr/bin/env bash
# The whole pipeline on simulated data, fields to report: simulation, records, learned distance,
# two generators, an ensemble, evaluation. Every command goes on where it was interrupted, or says that it is
# done, so that the script can be started again at any time.
#
#   scripts/demo.sh [DIRECTORY]        default: demo
set -euo pipefail
demo="${1:-demo}"
mkdir -p "$demo"

run() {
    printf '\n\033[1m$ %s\033[0m\n' "$*"
    "$@"
}

run phire simulate "$demo/simulation.h5" --days 160 --resolution 128 --step 3h --seed 0
run phire info "$demo/simulation.h5"

# The first 140 days train, the last 15 are held out; five days between keep them apart. Downscaling
# is judged on four of the 15, because an ensemble takes seconds a field.
train=2000-01-01,2000-05-20
held_out=2000-05-25,2000-06-09
judged=2000-05-25,2000-05-29

# The learned distance: pairs of patches, a network that tells how far apart in time they are, and
# what it had to see for that.
pairs=(--patch 32,32 --classes 8 --latitudes -70,70)
run rplearn-data "$demo/simulation.h5" "$demo/pairs" --time "$train" --patches-per-field 50 "${pairs[@]}"
run rplearn-data "$demo/simulation.h5" "$demo/pairs-held-out" --time "$held_out" \
    --patches-per-field 40 --statistics "$demo/pairs" "${pairs[@]}"
run rplearn-train "$demo/pairs" --validation "$demo/pairs-held-out" --out "$demo/representation" \
    --network tiny --epochs 2 --cool-down-epochs 1
run rplearn-eval "$demo/representation" --records "$demo/pairs-held-out" --out "$demo/metric"

# Two generators, four times finer: content by mean squared error, and by the learned distance.
run phire-data "$demo/simulation.h5" "$demo/patches" --time "$train" --patch 64,64 --scale 4 \
    --patches-per-field 4 --statistics "$demo/pairs"
schedule=(--network srgan-small --batch-size 16 --epochs 1,1 --learning-rates 1e-4,1e-5)
run phire-train "$demo/patches" --out "$demo/generator-mse" --objective srgan,pretrain_epochs=1 \
    "${schedule[@]}"
run phire-train "$demo/patches" --out "$demo/generator-learned" "${schedule[@]}" \
    --objective "srgan,content=$demo/metric,layers=[stage1,stage2,stage3,stage4],pretrain_epochs=1"

# An ensemble: a denoiser samples fields that all have the coarse field's block means.
run phire-train "$demo/patches" --out "$demo/denoiser" --network unet-small --objective edm \
    --schedule cosine --epochs 3 --learning-rates 1e-3 --batch-size 8 --ema 0.995 \
    --precision bfloat16
run phire predict "$demo/denoiser" "$demo/simulation.h5" "$demo/ensemble.nc" --coarsen 4 \
    --time "$judged" --members 4 --sampler dpmpp-2m,steps=10 --consistency mean

run phire-eval "$demo/simulation.h5" --time "$judged" --scale 4 --out "$demo/results" \
    --learned "$demo/metric" \
    --candidate "bicubic=bicubic" \
    --candidate "MSE + adversarial=$demo/generator-mse" \
    --candidate "learned + adversarial=$demo/generator-learned" \
    --candidate "diffusion ensemble=$demo/ensemble.nc"

printf '\nThe report: %s\n' "$(cd "$demo" && pwd)/results/report.html"
