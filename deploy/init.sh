#!/bin/sh
# Makes what reelflow finds and doesn't make by itself: a versioned bucket in each store,
# and the namespace of Temporal. All else - tables, search attributes, the schedule of the
# audit, the id of the installation - the programs make at their start. It is run at every
# start, and is done when all is there.
set -eu

# ask ARGS... prints the status of an answer; 000 where there is none.
ask() { curl --silent --show-error --max-time 10 --output /dev/null --write-out '%{http_code}' "$@" || true; }

# expect WHAT STATUSES ARGS... asks again for a minute until the status is one of STATUSES.
expect() {
  what=$1 statuses=$2
  shift 2
  tries=0
  while :; do
    status=$(ask "$@")
    case " $statuses " in *" $status "*) return ;; esac
    tries=$((tries + 1))
    if [ "$tries" -ge 60 ]; then
      echo "init: $what: answered $status, not one of $statuses" >&2
      exit 1
    fi
    sleep 1
  done
}

for store in primary backup-a backup-b; do
  at=http://$store:7070/reelflow
  # S3 asks for the header, which curl 7.88 leaves out unless it is told.
  s3="--config /secrets/init/$store --aws-sigv4 aws:amz:us-east-1:s3 --header x-amz-content-sha256:UNSIGNED-PAYLOAD"
  # shellcheck disable=SC2086 # these are several arguments
  expect "the bucket of $store" "200 409" $s3 --request PUT "$at" # 409: it is there
  # shellcheck disable=SC2086
  expect "the versioning of $store" "200" $s3 --request PUT "$at?versioning=" --data-binary \
    '<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Status>Enabled</Status></VersioningConfiguration>'
done

temporal=http://temporal:7243/api/v1/namespaces
expect "the namespace" "200 409" "$temporal" --json \
  '{"namespace": "reelflow", "workflowExecutionRetentionPeriod": "259200s"}' # 409: it is there
# It is known to all of the server only after a moment.
expect "the namespace" "200" "$temporal/reelflow/workflow-count"
