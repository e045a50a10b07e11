#!/usr/bin/env bash
# Proves docker-compose.yml on an engine of this machine: all of it is brought up as it is
# written, a video goes through its whole life, and then each container in turn is killed,
# frozen, cut off and restarted while videos are on their way.
#
#   deploy/composetest/run.sh            FAULTS=REGEXP picks faults, as 'kill gateway'; none: only the life
#
# Where no engine answers, one of its own is started, and ended with the test (root; its data
# lie in WORK). Images that can't be pulled are stood in for, see standins/build.sh.
set -euo pipefail
cd "$(dirname "$0")/../.."
here=deploy/composetest
work=${WORK:-$PWD/.reelflow/compose-test}
mkdir -p "$work"
# shellcheck source=deploy/composetest/engine.sh
. "$here/engine.sh"
# shellcheck source=deploy/composetest/checks.sh
. "$here/checks.sh"

export COMPOSE_PROJECT_NAME=reelflow-test IMAGE_TAG=test
export PUBLIC_PORT=18080 TEMPORAL_PORT=17233 TEMPORAL_UI_PORT=18233 EDGE_SUBNET=${EDGE_SUBNET:-172.30.84.0/24}
export REELFLOW_DELETE_GRACE=5s
url=http://127.0.0.1:$PUBLIC_PORT

# starter runs the command line against the gateways of the test.
starter() { REELFLOW_URL="$url" XDG_STATE_HOME="$work/state" bin/starter "$@"; }

bring_up() {
  say "building the images of reelflow"
  for image in reelflow reelflow-media; do
    docker build --quiet --network host --target "$image" --tag "$image:$IMAGE_TAG" . >/dev/null
  done
  say "docker compose up"
  compose up --detach --no-build
  await 300 "the gateways are ready" curl -fsS -o /dev/null "$url/readyz"
  await 120 "every role has its worker" workers_are_ready
}

workers_are_ready() {
  local role
  for role in control transfer media; do compose logs --no-color "$role" | grep -q '| ready$' || return 1; done
}

make_clip() {
  [ -s "$work/$1" ] || ffmpeg -v error -f lavfi -i "testsrc2=size=${2}:rate=30" -f lavfi -i sine=frequency=440 -t "$3" \
    -c:v libx264 -preset veryfast -c:a aac -y "$work/$1"
}

# upload FILE TITLE prints the id of a video that was published. One whose connections were
# cut for too long is taken up by the same command.
upload() {
  for _ in 1 2 3; do
    if starter upload "$work/$1" --title "$2" ${RATE:+--rate "$RATE"} > "$work/upload.$2" 2> "$work/upload.$2.err"; then
      head -1 "$work/upload.$2"
      return
    fi
    sleep 2
  done
  echo "upload of $1 failed:" >&2
  cat "$work/upload.$2" "$work/upload.$2.err" >&2
  return 1
}

whole_life() {
  local id
  say "a video goes through its whole life"
  id=$(upload long.mp4 life)
  must_play "$id" "$work/long.mp4"
  must_be_cached "$id"
  starter delete "$id"
  await 120 "the receipt is closed" starter receipt "$id"
  starter verify "$id"
  must_be_gone "$id"
}

main() {
  [ -x bin/starter ] || { echo "make programs comes first" >&2; exit 1; }
  trap clean_up EXIT
  start_engine
  "$here/standins/build.sh" "$work/standins"
  compose config --quiet
  compose down --volumes --timeout 5 2>/dev/null || true
  make_clip long.mp4 1280x720 15
  make_clip short.mp4 640x360 4
  must_hold_no_password
  bring_up
  must_be_confined
  whole_life
  survive_faults
  echo "compose-test ok"
}

main "$@"
