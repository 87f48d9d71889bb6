#!/usr/bin/env bash
# One login, from the number to the logout, as a confidential client. Needs curl, jq and openssl.
#
#   OTP_AUTH_URL=http://127.0.0.1:8080 CLIENT_ID=orders CLIENT_SECRET=... docs/examples/login.sh +919876543210
set -euo pipefail

phone=$1
ask() {
    # From standard input: what is in the arguments, every user of this machine can read.
    curl --silent --show-error --fail-with-body --max-time 10 --config - "$@" \
        <<<"user = \"$CLIENT_ID:$CLIENT_SECRET\""
}

# Whose login it is, so that limits count for the user's address, and a name under which to repeat the call.
sent=$(ask "$OTP_AUTH_URL/v1/otp/send" -H 'Content-Type: application/json' \
    -H 'X-Forwarded-For: 203.0.113.7' -H "Idempotency-Key: $(openssl rand -hex 16)" \
    -d "{\"phone_number\":\"$phone\"}")
request_id=$(jq -r .request_id <<<"$sent")

echo "the code in the SMS?"
read -r code
tokens=$(ask "$OTP_AUTH_URL/v1/otp/verify" -H 'Content-Type: application/json' \
    -H 'X-Forwarded-For: 203.0.113.7' -H "Idempotency-Key: $(openssl rand -hex 16)" \
    -d "{\"request_id\":\"$request_id\",\"code\":\"$code\"}")
access_token=$(jq -r .access_token <<<"$tokens")

echo "logged in as $(curl -sf "$OTP_AUTH_URL/v1/userinfo" -H "Authorization: Bearer $access_token" | jq -r .sub)"

tokens=$(ask "$OTP_AUTH_URL/v1/token" -d grant_type=refresh_token \
    --data-urlencode "refresh_token=$(jq -r .refresh_token <<<"$tokens")")
access_token=$(jq -r .access_token <<<"$tokens")
echo "refreshed, for $(jq .expires_in <<<"$tokens") s"

curl -sf -X DELETE "$OTP_AUTH_URL/v1/sessions" -H "Authorization: Bearer $access_token"
echo "logged out"
