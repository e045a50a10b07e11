# shellcheck shell=bash disable=SC2154
# Sourced by run.sh: what must hold, and what happens meanwhile.

fail() { say "failed: $*"; return 1; }

playback() { curl -fsS -H 'Authorization: Bearer dev:me' "$url/v1/videos/$1/playback"; }

# absolute BASE PATH prints the address that a playlist means by a path.
absolute() {
  case $2 in
    http*) echo "$2" ;;
    /*) echo "$url$2" ;;
    *) echo "${1%/*}/$2" ;;
  esac
}

# frames FILE-OR-ADDRESS prints how many frames of video it decodes to.
frames() { ffprobe -v error -count_frames -select_streams v:0 -show_entries stream=nb_read_frames -of default=nw=1:nk=1 "$1" | sort -n | tail -1; }

# must_play ID FILE demands that every frame of the file comes out at the player, keys and
# segments by the way that people's come.
must_play() {
  local hls want got
  hls=$(absolute "$url" "$(playback "$1" | json hls)")
  want=$(frames "$2") got=$(frames "$hls")
  [ "$got" = "$want" ] || fail "$1 plays $got frames of $want"
}

json() { node -e 'let s="";process.stdin.on("data",d=>s+=d).on("end",()=>{let v=JSON.parse(s);for(const k of process.argv[1].split("."))v=v[k];console.log(v)})' "$1"; }

# a_segment ID prints the address of the first segment of the first rendition.
a_segment() {
  local hls variant
  hls=$(absolute "$url" "$(playback "$1" | json hls)")
  variant=$(absolute "$hls" "$(curl -fsS "$hls" | grep -v '^#' | head -1)")
  absolute "$variant" "$(curl -fsS "$variant" | grep -v '^#' | head -1)"
}

status_of() { curl -sS -o /dev/null -w '%{http_code}' "$@"; }

# must_be_cached demands that a segment comes from the cache the second time, whole and in
# part, that nothing else does, and that a key names nothing that may be kept.
must_be_cached() {
  segment=$(a_segment "$1")
  curl -fsS -o "$work/once" "$segment"
  curl -fsS -D "$work/head" -o "$work/twice" "$segment"
  grep -qi '^x-cache: HIT' "$work/head" || fail "a segment did not come from the cache"
  cmp -s "$work/once" "$work/twice" || fail "the cache changes segments"
  curl -fsS -r 100-199 -o "$work/part" "$segment"
  cmp -s "$work/part" <(tail -c +101 "$work/once" | head -c 100) || fail "a range of a segment is not that of the whole"
  ! curl -fsS -D - -o /dev/null "$url/watch/$1" | grep -qi '^x-cache:' || fail "a page goes through the cache"
  [ "$(status_of -X PURGE -H "xkey: $1" "$segment")" != 200 ] || fail "anybody can empty the cache"
}

# in_cache METHOD PATH [HEADER] asks the cache itself, from the network that it is in.
in_cache() {
  docker run --rm --network "${COMPOSE_PROJECT_NAME}_edge" --entrypoint curl "$(image_of init)" \
    -sS -o /dev/null -w '%{http_code}' -X "$1" ${3:+-H "$3"} "http://cache:8080$2"
}

image_of() { docker inspect --format '{{.Config.Image}}' "$(compose ps --quiet --all "$1" 2>/dev/null || compose ps --quiet "$1")"; }

# must_be_gone demands that an erased video is gone for everybody, and from every volume of a
# store; and that the cache forgets what it had of it when it is told to.
must_be_gone() {
  local store left
  [ "$(status_of -H 'Authorization: Bearer dev:me' "$url/v1/videos/$1")" = 410 ] || fail "$1 is not gone"
  [ "$(in_cache PURGE / "xkey: $1")" = 200 ] || fail "the cache can't be told to forget $1"
  [ "$(status_of "$segment")" = 410 ] || fail "a segment of $1 is still served"
  for store in primary backup-a backup-b; do
    left=$(docker run --rm --volume "${COMPOSE_PROJECT_NAME}_$store:/store:ro" busybox:1.37 find /store -path "*$1*")
    [ -z "$left" ] || fail "$store has something left of $1: $left"
  done
}

# must_hold_no_password demands that the file itself has none, and no port for others.
must_hold_no_password() {
  compose config > "$work/config"
  ! grep -Ei '(password|secret)[a-z_]*: ' "$work/config" | grep -Evi '_file: /secrets/' || fail "a password stands in the file"
}

# must_be_confined looks at what runs: no root, nothing to write to but what is meant to be,
# no right of the kernel's, ports on this machine alone.
must_be_confined() {
  local id
  for id in $(compose ps --quiet); do
    docker inspect --format '{{.Name}} {{.Config.User}} {{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.Memory}} {{.HostConfig.PortBindings}}' "$id"
  done > "$work/confined"
  ! grep -E ' (root|0|0:0)? (true|false) ' "$work/confined" | grep -v prepare || fail "something runs as root"
  ! grep -v ' true \[ALL\] ' "$work/confined" || fail "something may write to its root, or has capabilities"
  ! grep -E '0\.0\.0\.0|\[::\]|\{ [0-9]+\}' "$work/confined" || fail "a port is open to others"
  ! grep -E '\] 0 map' "$work/confined" | grep -Ev 'prepare|init|schema' || fail "something may take all of the memory"
}

# The faults: what happens to which container.
fault_kill() { docker kill "$1" >/dev/null && docker start "$1" >/dev/null; }
fault_restart() { docker restart --time 15 "$1" >/dev/null; }
fault_freeze() { docker pause "$1" >/dev/null && sleep 12 && docker unpause "$1" >/dev/null; }
fault_cut() {
  local name=$2 network networks
  networks=$(docker inspect --format '{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}' "$1")
  for network in $networks; do docker network disconnect "$network" "$1"; done
  sleep 12
  for network in $networks; do docker network connect --alias "$name" "$network" "$1"; done
}

# stage_is TITLE STAGE holds while the upload of that title has made a video in that stage.
stage_is() {
  local id
  id=$(head -1 "$work/upload.$1") || return 1
  [ -n "$id" ] && [ "$(curl -fsS -H 'Authorization: Bearer dev:me' "$url/v1/videos/$id" | json stage)" = "$2" ]
}

# moment_of SERVICE prints the stage in which a service has most to lose.
moment_of() { case $1 in media | transfer) echo processing ;; *) echo uploading ;; esac; }

# clip_for SERVICE names a clip that keeps the service busy for some seconds.
clip_for() { case $1 in media | transfer) echo long.mp4 ;; *) echo short.mp4 ;; esac; }

# survive FAULT SERVICE lets a fault happen to one container of a service while a video is
# sent, or encoded. The video is published, plays, and is erased.
survive() {
  local id container sending begun=$SECONDS title=$1-$2 clip
  clip=$(clip_for "$2")
  container=$(compose ps --quiet "$2" | head -1)
  rm -f "$work/upload.$title"
  RATE=100000 upload "$clip" "$title" > "$work/id" &
  sending=$!
  await 90 "$1 of $2: the video is $(moment_of "$2")" stage_is "$title" "$(moment_of "$2")"
  "fault_$1" "$container" "$2"
  wait "$sending" || fail "$1 of $2: the video is lost"
  id=$(cat "$work/id")
  await 60 "$1 of $2: the video plays" must_play "$id" "$work/$clip"
  await 60 "$1 of $2: it is deleted" starter delete "$id"
  await 300 "$1 of $2: it is erased" starter verify "$id"
  say "survived: $1 $2 ($((SECONDS - begun)) s)"
}

survive_faults() {
  local fault service
  for fault in kill restart freeze cut; do
    for service in gateway control transfer media primary backup-a catalog-db vault-db temporal temporal-db cache proxy; do
      [[ "$fault $service" =~ ${FAULTS-.} ]] || continue
      survive "$fault" "$service"
    done
  done
}
