#!/usr/bin/env bash
# Installs what is missing to run (ffmpeg, node for the pages' bundle) or to test
# (a PostgreSQL server, Chromium and a C compiler as well), and says nothing when
# all is there.
#
#   setup/install.sh run|test|bench|compose|monitoring
#
# bench is test, and nginx: what playback is measured beside. compose is run, and an engine
# for containers (Debian, Ubuntu). monitoring is run, and Prometheus.
set -euo pipefail

# The oldest Node.js that the bundler runs on.
readonly NODE=18

has() { command -v "$1" >/dev/null 2>&1; }

node_is_new_enough() {
  has node && has npm && [ "$(node -p 'process.versions.node.split(".")[0]')" -ge "$NODE" ]
}

has_postgres() {
  has initdb || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null
}

has_chromium() {
  has chromium || has chromium-browser || has google-chrome ||
    [ -x '/Applications/Chromium.app/Contents/MacOS/Chromium' ] ||
    [ -x '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome' ]
}

# Go's race detector is linked with C, except on macOS.
can_link_c() {
  [ "$(uname)" = Darwin ] || echo 'int main(void) { return 0; }' | "${CC:-gcc}" -x c -o /dev/null - >/dev/null 2>&1
}

# missing prints the names of what must be installed: apt's names, or brew's.
missing() {
  local for=$1 manager=$2
  { has ffmpeg && has ffprobe; } || echo ffmpeg
  if ! node_is_new_enough; then
    case $manager in
      apt) has node || echo nodejs; has npm || echo npm ;;
      brew) echo node ;;
    esac
  fi
  [ "$for" != run ] || return 0
  if [ "$for" = compose ]; then
    has dockerd || printf '%s\n' docker.io iptables
    docker compose version >/dev/null 2>&1 || has docker-compose || echo docker-compose
    has mmdebstrap || echo mmdebstrap
    [ -x /usr/bin/busybox ] || echo busybox-static
    return 0
  fi
  if [ "$for" = monitoring ]; then
    has prometheus || echo prometheus
    return 0
  fi
  has_postgres || case $manager in apt) echo postgresql ;; brew) echo postgresql@17 ;; esac
  has_chromium || echo chromium
  can_link_c || printf '%s\n' gcc libc6-dev
  [ "$for" = bench ] || return 0
  has nginx || [ -x /usr/sbin/nginx ] || case $manager in apt) echo nginx-light ;; brew) echo nginx ;; esac
}

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif has sudo; then
    sudo "$@"
  else
    echo "setup: this needs root, and there is no sudo: $*" >&2
    exit 1
  fi
}

apt() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@"
}

install_with_apt() {
  # Old lists name packages that the mirrors have no more, and old versions of the
  # others. Where the lists can't be fetched, those that are there may still do.
  apt update || echo "setup: the package lists could not be fetched; going on with those that are here" >&2
  apt install -y --no-install-recommends "$@" >/dev/null
}

main() {
  local for=${1:-run} manager
  case $for in run | test | bench | compose | monitoring) ;; *) echo "usage: setup/install.sh run|test|bench|compose|monitoring" >&2; exit 2 ;; esac
  if has apt-get; then manager=apt; elif has brew; then manager=brew; else manager=none; fi

  local -a packages=()
  local package
  while read -r package; do packages+=("$package"); done < <(missing "$for" "$manager")
  if [ ${#packages[@]} -gt 0 ]; then
    echo "setup: installing ${packages[*]}" >&2
    case $manager in
      apt) install_with_apt "${packages[@]}" ;;
      brew) brew install --quiet "${packages[@]}" ;;
      none) echo "setup: there is neither apt-get nor brew; please install: ${packages[*]}" >&2; exit 1 ;;
    esac
  fi
  if ! node_is_new_enough; then
    echo "setup: Node.js $NODE or newer with npm is needed, and $(node --version 2>/dev/null || echo none) was found; see https://nodejs.org" >&2
    exit 1
  fi
}

main "$@"
