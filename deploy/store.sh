#!/bin/sh
# Runs an S3 store of the name $1 on the volume /store. versitygw takes its password from
# the environment alone.
set -eu
ROOT_ACCESS_KEY=reelflow
ROOT_SECRET_KEY=$(cat "/secrets/$1/secret-key")
export ROOT_ACCESS_KEY ROOT_SECRET_KEY
exec versitygw --port :7070 --region us-east-1 --health /healthz --keep-alive --quiet \
  posix --versioning-dir /store/versions /store/data
