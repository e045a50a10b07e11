#!/bin/sh
# Makes what the other services need before they start: random secrets in the volume
# /secrets, each readable by its users alone, and volumes that belong to their users. It is
# run at every start, and changes no secret that is there: whoever wants another password
# changes it where it is asked for first.
set -eu
umask 077

# The users that services run as.
reelflow=10001 store=10002 temporal=1000 postgres=999 proxy=99 prometheus=10004 grafana=10005

# give USER FILE TEXT writes a file for the user, at once or not at all.
give() {
  dir=$(dirname "/secrets/$2")
  mkdir -p "$dir"
  echo "$3" > "/secrets/$2.new"
  chmod 400 "/secrets/$2.new"
  chown "$1:$1" "/secrets/$2.new" "$dir"
  mv -f "/secrets/$2.new" "/secrets/$2"
}

# make_secret NAME makes a password unless it is there: 256 bits in letters and digits, which
# mean the same in a URL.
make_secret() {
  [ ! -s "/secrets/own/$1" ] || return 0
  head -c 32 /dev/urandom | sha256sum | cut -c 1-64 > "/secrets/own/$1.new"
  [ -s "/secrets/own/$1.new" ]
  sync
  mv -f "/secrets/own/$1.new" "/secrets/own/$1"
}

secret() { cat "/secrets/own/$1"; }

# postgres_url SERVER prints a URL of the database reelflow. Between containers of one
# host nobody listens; to a server elsewhere it would be sslmode=verify-full.
postgres_url() { echo "postgres://reelflow:$(secret "$1")@$1/reelflow?sslmode=disable"; }

store_url() { echo "s3://reelflow:$(secret "$1")@$1:7070/reelflow?region=us-east-1&tls=false&name=$1"; }

chmod 711 /secrets
mkdir -p /secrets/own
for name in temporal-db catalog-db vault-db grafana primary backup-a backup-b; do make_secret "$name"; done

give "$postgres" temporal-db/password "$(secret temporal-db)"
give "$temporal" temporal/db-password "$(secret temporal-db)"
give "$postgres" catalog-db/password "$(secret catalog-db)"
give "$reelflow" reelflow/database-url "$(postgres_url catalog-db)"
give "$postgres" vault-db/password "$(secret vault-db)"
give "$reelflow" reelflow/vault "$(postgres_url vault-db)"

for name in primary backup-a backup-b; do
  give "$store" "$name/secret-key" "$(secret "$name")"
  # What init tells curl: user and password stay out of its command line.
  give "$reelflow" "init/$name" "user = \"reelflow:$(secret "$name")\""
done
give "$reelflow" reelflow/primary "$(store_url primary)"
give "$reelflow" reelflow/backups "$(store_url backup-a),$(store_url backup-b)"

give "$grafana" grafana/password "$(secret grafana)"

for name in primary backup-a backup-b; do
  mkdir -p "/volumes/$name/data" "/volumes/$name/versions"
  chown "$store:$store" "/volumes/$name" "/volumes/$name/data" "/volumes/$name/versions"
done
chown "$proxy:$proxy" /volumes/sockets
chown "$prometheus:$prometheus" /volumes/prometheus
sync
