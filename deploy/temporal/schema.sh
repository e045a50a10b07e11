#!/bin/sh
# Makes Temporal's databases, or brings them to the version of these tools. It is run at
# every start, before the server.
set -eu
SQL_PASSWORD=$(cat /secrets/temporal/db-password)
export SQL_PASSWORD SQL_HOST=temporal-db SQL_PORT=5432 SQL_USER=temporal SQL_PLUGIN=postgres12_pgx

for kind in temporal visibility; do
  database=temporal
  [ "$kind" = temporal ] || database=temporal_visibility
  temporal-sql-tool --db "$database" create-database
  temporal-sql-tool --db "$database" setup-schema --version 0.0
  temporal-sql-tool --db "$database" update-schema --schema-name "postgresql/v12/$kind"
done
