#!/usr/bin/env bash
# What needs a card, in stages that each end inside 8 minutes and print a short table last; exit code 1 where something
# failed. Needs CMake, nvcc and a card; the twin Python with PyTorch and transformers; `train` Node.
#
#   bench/cuda/run.sh suite                 build for this machine's card; conformance suite, model, engine, trainer
#   bench/cuda/run.sh bench FIGURES         and their PyTorch twin: kernels, update, long, decode, or single ones
#   bench/cuda/run.sh sanitize TOOL [I/N]   memcheck or racecheck on the suite, or on every N-th test from the I-th on
#   bench/cuda/run.sh train                 the tutorial with --device cuda
#   bench/cuda/run.sh pack FOLDER           what `train` needs on a machine without Node: a folder to take there
#
# Options, behind the stage: --cpu (a rehearsal without a card), --scale small, --no-twin, --seconds S (a measurement),
# --out FOLDER ($OUT, else <build>/results), --build FOLDER (build-cuda), --python PROGRAM (python3), --packed FOLDER
# (what `pack` made), and what else ajet_bench_cuda takes. AJET_STAGE_SECONDS (470) bounds a stage.
set -uo pipefail
cd "$(dirname "$0")/../.."
readonly stage=${1:-} stage_seconds=${AJET_STAGE_SECONDS:-470}
readonly started=$SECONDS library_path=${LD_LIBRARY_PATH:-}
export PATH=$PATH:/usr/local/cuda/bin:/usr/local/nvidia/bin # where nvcc, compute-sanitizer and nvidia-smi may lie
shift || true

device=cuda scale=full seconds=1 twin=yes build=build-cuda python=python3 packed= out=
words=() passed_on=()
while [ $# -gt 0 ]; do
  case $1 in
    --cpu) device=cpu ;;
    --no-twin) twin=no ;;
    --scale) scale=$2; shift ;;
    --seconds) seconds=$2; shift ;;
    --out) out=$2; shift ;;
    --build) build=$2; shift ;;
    --python) python=$2; shift ;;
    --packed) packed=$2; shift ;;
    --*) passed_on+=("$1" "$2"); shift ;;
    *) words+=("$1") ;;
  esac
  shift
done
build=$(realpath -m "$build")
out=${out:-${OUT:-$build/results}}
mkdir -p "$build" "$out"
readonly log=$out/$stage.log results=$out/results.jsonl
: >"$log"

rows=() failed=0
# step NAME COMMAND...: within what is left of the stage's time; one row of the table, from the last line that it wrote.
step() {
  local name=$1 begin=$SECONDS left=$((stage_seconds - SECONDS + started)) code last
  shift
  if [ "$left" -le 5 ]; then
    rows+=("$name|not run|0|no time left in this stage")
    failed=1
    return 1
  fi
  echo "== $name: $*" >>"$log"
  timeout --kill-after=5 "$left" "$@" >"$build/step.out" 2>>"$log"
  code=$?
  cat "$build/step.out" >>"$log"
  [ $code = 0 ] || tail -n 20 "$log"
  last=$(tail -n 1 "$build/step.out")
  [[ $last = "{"* ]] && last="$(wc -l <"$build/step.out") measurements"
  case $code in
    0) rows+=("$name|ok|$((SECONDS - begin))|$last") ;;
    124 | 137) rows+=("$name|TIME OUT|$((SECONDS - begin))|$last") failed=1 ;;
    *) rows+=("$name|FAILED ($code)|$((SECONDS - begin))|$last") failed=1 ;;
  esac
  return $code
}

finish() {
  printf '\n%-42s %-12s %5s  %s\n' "$stage" result s "last line"
  local row name result time last
  for row in "${rows[@]}"; do
    IFS='|' read -r name result time last <<<"$row"
    printf '%-42s %-12s %5s  %s\n' "$name" "$result" "$time" "${last:0:110}"
  done | tee -a "$log"
  echo "$((SECONDS - started)) s; $([ $failed = 0 ] && echo "nothing failed" || echo "SOMETHING FAILED: see $log")"
  exit $failed
}

card_name() {
  if [ $device = cpu ]; then uname -m; else nvidia-smi --query-gpu=name,driver_version --format=csv,noheader | head -n 1; fi
}

configure() {
  local cuda=AUTO generator=()
  [ $device = cpu ] && cuda=OFF
  command -v ninja >/dev/null && generator=(-G Ninja)
  step configure cmake -S . -B "$build" "${generator[@]}" -DAJET_CUDA=$cuda || return 1
  if [ $device = cuda ] && ! grep -q "CUDA: for" "$log"; then
    rows+=("a card and nvcc|MISSING|0|nothing to run on: see --cpu for a rehearsal") failed=1
    return 1
  fi
}

compile() { step build cmake --build "$build" --parallel "$(nproc)" --target "$@"; }

binary() { find "$build" -name "$1" -type f -perm -u+x | head -n 1; }

# on_device BINARY FILTER DTYPE: the tests whose names contain the filter, on the card.
on_device() {
  local name=$1 filter=$2 dtype=$3
  [ $device = cpu ] && dtype=float32
  step "${name#ajet_test_}, \"$filter\", $dtype" env AJET_TEST_DEVICE=$device AJET_TEST_DTYPE=$dtype "$(binary "$name")" "$filter"
}

suite() {
  local suite_binary=ajet_test_cuda dtype
  [ $device = cpu ] && suite_binary=ajet_test_backend
  find_cublaslt
  configure && compile $suite_binary ajet_test_model ajet_test_infer ajet_test_train ajet_bench_cuda || return
  step "conformance suite" "$(binary $suite_binary)"
  for dtype in bfloat16 float32; do
    on_device ajet_test_train "engine and trainer" $dtype
    on_device ajet_test_infer "invariance:" $dtype
    on_device ajet_test_infer "stress:" $dtype
    on_device ajet_test_model "paged:" $dtype
    on_device ajet_test_model "equal those of the unmerged sequences" $dtype
    on_device ajet_test_train "to the last bit" $dtype
    [ $device = cpu ] && break
  done
  on_device ajet_test_model "tree:" float32
  on_device ajet_test_model "path cache:" float32
  on_device ajet_test_train "trainer:" float32
  on_device ajet_test_train "merged tree:" float32
}

run_bench() {
  local measured=(copy product) figure exchange=$build/exchange common
  for figure in ${words[*]/kernels/attention norms adamw head}; do
    [[ " ${measured[*]} " = *" $figure "* ]] || measured+=("$figure") # denominators come first, and always
  done
  configure && compile ajet_bench_cuda || return
  find_cublaslt
  common=(--device $device --scale "$scale" --seconds "$seconds" --exchange "$exchange")
  rm -rf "$exchange"
  about >"$results"
  for figure in "${measured[@]}"; do
    step "$figure" "$(binary ajet_bench_cuda)" "$figure" "${common[@]}" "${passed_on[@]}"
    cat "$build/step.out" >>"$results"
  done
  if [ $twin = yes ]; then
    common+=(--compile "$([ $device = cpu ] && echo off || echo on)")
    step "PyTorch twin" env LD_LIBRARY_PATH="$library_path" HF_HUB_OFFLINE=1 PYTHONDONTWRITEBYTECODE=1 \
      "$python" bench/cuda/twin/twin.py "${measured[@]}" "${common[@]}"
    cat "$build/step.out" >>"$results"
  fi
  step table "$python" bench/cuda/table.py "$results"
  cat "$build/step.out"
}

# Gradient products go through cuBLASLt where the loader finds it. PyTorch brings one that the loader does not know; it is
# itself to find what it would without us.
find_cublaslt() {
  [[ $(ldconfig -p 2>/dev/null) = *libcublasLt.so.1[23]* ]] && return
  local folder script='import glob, site; print(*(f for p in site.getsitepackages() for f in glob.glob(p + "/nvidia/*/lib")))'
  for folder in /usr/local/cuda/lib64 $("$python" -c "$script" 2>/dev/null); do
    if compgen -G "$folder/libcublasLt.so.1[23]" >/dev/null; then
      export LD_LIBRARY_PATH=$folder${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
      return
    fi
  done
}

about() {
  local commit dtype=bfloat16
  [ $device = cpu ] && dtype=float32
  commit=$(git rev-parse --short HEAD 2>/dev/null || echo "${AJET_COMMIT:-unknown}")
  printf '{"about": "ajet", "device": "%s", "dtype": "%s", "date": "%s", "commit": "%s", "command": "%s"}\n' \
    "$(card_name)" $dtype "$(date +%F)" "$commit" "${AJET_CUDA_WGMMA:+AJET_CUDA_WGMMA=$AJET_CUDA_WGMMA }bench/cuda/run.sh bench ${words[*]}"
}

# Small sizes (AJET_TEST_SMALL): under the sanitizer a kernel takes up to a hundred times as long. Calls that fail are left
# to the tests, some of which ask for them: for a card 1000, for more memory than there is.
sanitize() {
  local tool=${words[0]:-memcheck} shard=${words[1]:-1/1}
  command -v compute-sanitizer >/dev/null || { rows+=("compute-sanitizer|MISSING|0|it comes with CUDA's toolkit") failed=1; return; }
  configure && compile ajet_test_cuda || return
  find_cublaslt
  step "$tool, tests $shard" env AJET_TEST_SMALL=1 \
    compute-sanitizer --tool "$tool" --report-api-errors no --error-exitcode 9 --print-limit 20 "$(binary ajet_test_cuda)" --shard "$shard"
}

# Node, the modules that a run needs, and dist/, for `train --packed FOLDER` where there are none and no registry either.
pack() {
  local folder=${words[0]:?pack needs a folder} root modules
  [ -d dist ] || { rows+=("dist/|MISSING|0|npm run build makes it") failed=1; return; }
  mkdir -p "$folder"
  root=$(mktemp -d)
  mkdir "$root/bin"
  cp -L "$(command -v node)" "$root/bin/node"
  mapfile -t modules < <(npm ls --omit=dev --all --parseable 2>/dev/null | sed -n "s|^$PWD/||p" | grep -v -e onnxruntime -e langchain)
  step "pack into $folder" env XZ_OPT=-1 tar -cJf "$folder/train.tar.xz" -C "$root" bin -C "$PWD" dist "${modules[@]}"
  rows+=("size|$(du -h "$folder/train.tar.xz" | cut -f 1)|0|$folder/train.tar.xz")
  rm -r "$root"
}

unpack() {
  step unpack tar -xJf "$packed/train.tar.xz" -C "$build" || return
  export PATH=$build/bin:$PATH
  [ -e node_modules ] || ln -s "$build/node_modules" node_modules
  [ -e dist ] || ln -s "$build/dist" dist
}

train() {
  local addon=$build/addon cuda=AUTO targets=(ajet ajet_cuda)
  [ $device = cpu ] && cuda=OFF targets=(ajet)
  if [ -n "$packed" ]; then unpack || return; fi
  command -v node >/dev/null || { rows+=("Node|MISSING|0|see run.sh pack") failed=1; return; }
  find_cublaslt
  step "configure the addon" cmake -S . -B "$addon" -DAJET_CUDA=$cuda -DCMAKE_LIBRARY_OUTPUT_DIRECTORY="$addon/Release" \
    "-DCMAKE_JS_INC=$PWD/node_modules/node-api-headers/include;$PWD/node_modules/node-addon-api" || return
  step "build the addon" cmake --build "$addon" --parallel "$(nproc)" --target "${targets[@]}" || return
  step "the tutorial on $device" env AJET_NATIVE_PATH="$addon/Release/ajet.node" \
    node dist/cli/main.js train --device $device --set experiment_name=cuda "${passed_on[@]}" || return
  cp saved_experiments/cuda/summary.json "$out/train-summary.json"
  # The bars of .ci/run, and on-policy to the last bit.
  step "what it reached" node -e '
    const summary = JSON.parse(require("fs").readFileSync(process.argv[1], "utf8"));
    const bars = { success_rate_after: 0.9, greedy_success_rate_after: 0.92, unseen_success_rate_after: 0.5 };
    const shown = [...Object.keys(bars), "logprob_max_abs_diff", "logprobs_compared", "wall_seconds"];
    console.log(shown.map((key) => `${key} ${summary[key]}`).join(", "));
    const exact = summary.logprob_max_abs_diff === 0 && summary.logprobs_compared > 0;
    process.exit(exact && Object.entries(bars).every(([key, least]) => summary[key] >= least) ? 0 : 1);
  ' "$out/train-summary.json"
}

case $stage in
  suite) suite ;;
  bench) run_bench ;;
  sanitize) sanitize ;;
  train) train ;;
  pack) pack ;;
  *)
    sed -n '2,16s/^# \{0,1\}//p' "$0"
    exit 2
    ;;
esac
finish
