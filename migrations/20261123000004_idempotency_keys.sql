-- Replies kept for a repeated `Idempotency-Key`. Neither the caller's key nor the body is here,
-- only keyed hashes; the kept reply is sealed, since it can hold tokens.
CREATE TABLE idempotency_keys (
    -- HMAC of client, operation and the caller's key.
    fingerprint bytea PRIMARY KEY,
    -- HMAC of the request body: the same key with another body is a caller's mistake.
    body_hash   bytea NOT NULL,
    -- NULL while the first request is still being worked on.
    reply       bytea,
    expires_at  timestamptz NOT NULL
);
