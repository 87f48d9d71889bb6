#!/usr/bin/env bash
# Fills an empty database from a backup: all of it or nothing. No otp-auth may run on it yet.
#
#   DATABASE_URL=postgres://... docs/examples/restore.sh otp-auth.dump
set -euo pipefail

pg_restore --exit-on-error --single-transaction --no-owner --dbname="$DATABASE_URL" "$1"

psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --dbname="$DATABASE_URL" <<'SQL'
-- Verifiers have read the feed of revocations further than the backup goes: what comes now must come after that.
UPDATE revocation_feed SET last_cursor = last_cursor + 1000000000;
-- Of replicas that are no more.
DELETE FROM leases;
ANALYZE;
SQL
