# shellcheck shell=bash disable=SC2154
# Sourced by run.sh: an engine, and compose on it.

say() { echo "compose-test: $*" >&2; }

# await SECONDS WHAT COMMAND... tries a command once a second until it succeeds.
await() {
  local seconds=$1 what=$2 end
  shift 2
  end=$((SECONDS + seconds))
  until "$@" >"$work/await.log" 2>&1; do
    if [ "$SECONDS" -ge "$end" ]; then
      say "failed: after ${seconds} s it does not hold that $what"
      tail -5 "$work/await.log" >&2
      return 1
    fi
    sleep 1
  done
}

compose() {
  if docker compose version >/dev/null 2>&1; then docker compose "$@"; else docker-compose "$@"; fi
}

# start_engine uses the engine that answers, or starts one for this test alone.
start_engine() {
  if docker info >/dev/null 2>&1; then return; fi
  setup/install.sh compose
  say "no engine answers: starting one in $work/engine"
  mkdir -p "$work/engine"
  export DOCKER_HOST=unix://$work/engine/docker.sock
  dockerd --host "$DOCKER_HOST" --data-root "$work/engine/data" --exec-root "$work/engine/exec" \
    --pidfile "$work/engine/pid" > "$work/engine/log" 2>&1 &
  engine=$!
  await 60 "the engine answers" docker info
}

# clean_up keeps images, which take long to make, and nothing else.
clean_up() {
  local status=$?
  if [ "$status" -ne 0 ] && docker info >/dev/null 2>&1; then
    compose ps >&2 || true
    compose logs --no-color --tail 200 > "$work/logs" 2>&1 || true
    say "failed; the last lines of every service are in $work/logs"
  fi
  [ -n "${KEEP:-}" ] || compose down --volumes --timeout 5 >/dev/null 2>&1 || true
  if [ -n "${engine:-}" ]; then
    kill "$engine" 2>/dev/null || true
    wait "$engine" 2>/dev/null || true
  fi
  exit "$status"
}
