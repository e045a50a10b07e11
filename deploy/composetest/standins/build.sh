#!/usr/bin/env bash
# Provides the images that docker-compose.yml and Dockerfile name: those that are not there
# are pulled, and where they can't be, images are made that stand in for them under the same
# names (linux, a Debian machine with Go and Node.js). FOLDER is where what is built is kept.
#
#   deploy/standins/build.sh FOLDER
set -euo pipefail
folder=$(mkdir -p "$1" && cd "$1" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
pulls=true

# context NAME makes an empty folder that an image is built from.
context() {
  rm -rf "${folder:?}/$1"
  mkdir "$folder/$1"
  echo "$folder/$1"
}

# program NAME PACKAGE FOLDER builds a program of a module that go.mod names, in the way that
# bin/devstack is built: most of it is compiled already.
program() { go -C "$here" build -ldflags='-s -w' -o "$3/$1" "$2"; }

# image NAME CONTEXT builds an image of the Dockerfile on standard input.
image() { docker build --quiet --network host --tag "$1" --file - "$2" >/dev/null; }

# packages NAME PACKAGE... makes an image with packages of the distribution.
packages() {
  local name=$1 at
  shift
  at=$(context packages)
  cp "$here/postgres-entrypoint.sh" "$at"
  # Who looks into the network from within, as some companies' machines do, is known to it.
  cp /etc/ssl/certs/ca-certificates.crt "$at"
  { cat <<END; cat; } | image "$name" "$at"
FROM debian:bookworm-slim
COPY ca-certificates.crt /etc/ssl/certs/
RUN groupadd --gid 999 postgres && useradd --uid 999 --gid 999 --home-dir /nowhere postgres
RUN apt-get update && apt-get install --yes --no-install-recommends ca-certificates $*
END
}

make_debian() {
  mmdebstrap --quiet --variant=minbase --dpkgopt=force-unsafe-io bookworm "$folder/debian.tar"
  docker import --change 'CMD ["bash"]' "$folder/debian.tar" debian:bookworm-slim >/dev/null
  rm "$folder/debian.tar"
}

make_busybox() {
  local root=$folder/busybox
  rm -rf "$root"
  mkdir -p "$root"/{bin,etc,tmp,usr/bin,usr/local/bin}
  cp "$(command -v busybox)" "$root/bin/busybox"
  "$root/bin/busybox" --list | grep -v '^busybox$' | while read -r name; do ln -s busybox "$root/bin/$name"; done
  chmod 1777 "$root/tmp"
  echo 'root:x:0:0:root:/root:/bin/sh' > "$root/etc/passwd"
  tar -C "$root" -c . | docker import --change 'CMD ["sh"]' --change 'ENV PATH=/usr/local/bin:/usr/bin:/bin' - busybox:1.37 >/dev/null
}

make_golang() {
  local at
  at=$(context golang)
  cp -a "$(go env GOROOT)" "$at/go"
  cp /etc/ssl/certs/ca-certificates.crt "$at"
  image "$1" "$at" <<'END'
FROM debian:bookworm-slim
COPY ca-certificates.crt /etc/ssl/certs/
COPY go /usr/local/go
ENV PATH=/usr/local/go/bin:/usr/local/bin:/usr/bin:/bin GOTOOLCHAIN=local
END
}

make_node() {
  local at
  at=$(context node)
  mkdir -p "$at/node/bin" "$at/node/lib/node_modules"
  cp -L "$(command -v node)" "$at/node/bin/"
  cp -a "$(npm root --global)/npm" "$at/node/lib/node_modules/"
  ln -s ../lib/node_modules/npm/bin/npm-cli.js "$at/node/bin/npm"
  cp /etc/ssl/certs/ca-certificates.crt "$at"
  image "$1" "$at" <<'END'
FROM debian:bookworm-slim
COPY ca-certificates.crt /etc/ssl/certs/
COPY node /usr/local/
ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt
END
}

# of_program NAME PROGRAM PACKAGE makes an image of one program, which is its command.
of_program() {
  local at
  at=$(context "$2")
  program "$2" "$3" "$at"
  cp "$(command -v busybox)" "$at/wget"
  image "$1" "$at" <<END
FROM debian:bookworm-slim
RUN useradd --uid 1000 temporal
COPY $2 wget /usr/local/bin/
USER 1000
CMD ["$2"]
END
}

make_temporal_ui() {
  local at
  at=$(context temporal-ui)
  program ui-server github.com/temporalio/ui-server/v2/cmd/server "$at"
  cp "$(go -C "$here" list -m -f '{{.Dir}}' github.com/temporalio/ui-server/v2)/config/docker.yaml" "$at"
  chmod 644 "$at/docker.yaml"
  cp "$(command -v busybox)" "$at/wget"
  image "$1" "$at" <<'END'
FROM debian:bookworm-slim
RUN useradd --uid 1000 temporal
COPY wget /usr/local/bin/
WORKDIR /home/ui-server
COPY ui-server ./
COPY docker.yaml config/
USER 1000
ENTRYPOINT ["./ui-server", "--env", "docker", "start"]
END
}

stand_in() {
  case $1 in
    debian:*) make_debian ;;
    busybox:*) make_busybox ;;
    golang:*) make_golang "$1" ;;
    node:*) make_node "$1" ;;
    haproxy:*) packages "$1" haproxy </dev/null ;;
    varnish:*) packages "$1" varnish varnish-modules gcc libc6-dev </dev/null ;;
    curlimages/curl:*) packages "$1" curl </dev/null ;;
    postgres:*)
      packages "$1" postgresql-15 <<'END'
RUN rm -rf /var/lib/postgresql && install -d -o postgres -g postgres -m 1777 /var/lib/postgresql/data
COPY postgres-entrypoint.sh /usr/local/bin/docker-entrypoint.sh
ENV PATH=/usr/lib/postgresql/15/bin:/usr/local/bin:/usr/bin:/bin PGDATA=/var/lib/postgresql/data
VOLUME /var/lib/postgresql/data
USER postgres
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["postgres"]
END
      ;;
    versity/versitygw:*) of_program "$1" versitygw github.com/versity/versitygw/cmd/versitygw ;;
    temporalio/server:*) of_program "$1" temporal-server go.temporal.io/server/cmd/server ;;
    temporalio/admin-tools:*) of_program "$1" temporal-sql-tool go.temporal.io/server/cmd/tools/sql ;;
    temporalio/ui:*) make_temporal_ui "$1" ;;
    *) echo "nothing stands in for $1" >&2; return 1 ;;
  esac
}

# provide IMAGE makes sure that an image is there.
provide() {
  ! docker image inspect "$1" >/dev/null 2>&1 || return 0
  if $pulls && timeout 300 docker pull --quiet "$1" >/dev/null 2>&1; then return 0; fi
  pulls=false # what can't be reached once is not tried for every image
  echo "$1 can't be pulled: making one that stands in for it" >&2
  stand_in "$1"
}

# The images that others stand on come first.
cd "$here/../../.."
named=$(awk '$1 == "FROM" { print $2 }' Dockerfile; docker-compose config | awk '$1 == "image:" { print $2 }')
for image in debian:bookworm-slim busybox:1.37 $(grep -v '^reelflow' <<<"$named" | sort -u); do provide "$image"; done
