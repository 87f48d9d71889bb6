#!/usr/bin/env bash
# Writes a backup of otp-auth's database. The master key is not in it, and without the key it is worth nothing:
# keep the key elsewhere, for as long as a backup that was made under it.
#
#   DATABASE_URL=postgres://... docs/examples/backup.sh otp-auth.dump
set -euo pipefail

# It is of one moment, and holds nobody up. Half a file is never taken for a whole one.
pg_dump --format=custom --dbname="$DATABASE_URL" --file="$1.part"
mv "$1.part" "$1"
