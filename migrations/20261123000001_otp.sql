-- One row a phone: what limits it, and the one request whose code may still be used.
-- Every limit and every single-use claim is one UPDATE of this row, so the row lock is what makes
-- them hold over any number of replicas. It holds no number: only its keyed index.
CREATE TABLE phone_throttles (
    -- HMAC-SHA256 of the E.164 number under a key that is not in the database.
    phone_index     bytea PRIMARY KEY
        CONSTRAINT phone_index_is_a_sha256 CHECK (octet_length(phone_index) = 32),
    -- When codes were sent, oldest first, no longer than the longest limit looks back.
    send_log        timestamptz[] NOT NULL,
    -- No send before this time; grows with each send in a row (30, 60, 120 s).
    cooldown_until  timestamptz NOT NULL,
    -- The send that was admitted last: tells its own statement that it was the one.
    last_send_id    uuid NOT NULL,
    -- The request whose code is live; a newer send supersedes it, a right code clears it.
    live_request_id uuid,
    -- Sends and wrong tries of the live request. They live here, not in otp_requests, so that one
    -- row lock guards them together with the limits.
    live_sends      integer NOT NULL,
    live_attempts   integer NOT NULL,
    -- When wrong codes were tried, over all requests (NIST SP 800-63B-4 section 3.2.2: a new code
    -- does not reset the count).
    failure_log     timestamptz[] NOT NULL DEFAULT '{}',
    -- Locks in a row; each doubles the next. A right code clears it.
    locks           integer NOT NULL DEFAULT 0,
    locked_until    timestamptz
) WITH (fillfactor = 70); -- room for in-page (HOT) updates: the row changes on every call

-- One row a request for a code. What changes while a code is live is in phone_throttles; here is
-- what was asked, and how it ended.
CREATE TABLE otp_requests (
    id                  uuid PRIMARY KEY,
    phone_index         bytea NOT NULL,
    -- The number itself (AES-256-GCM bound to phone_index): a resend needs it.
    phone_sealed        bytea NOT NULL,
    client_id           text NOT NULL,
    purpose             text NOT NULL CONSTRAINT purpose_is_known CHECK (purpose IN ('login')),
    -- The code is HMAC(key outside the database, this nonce and the row's ids).
    code_nonce          bytea NOT NULL CONSTRAINT code_nonce_is_128_bits CHECK (octet_length(code_nonce) = 16),
    created_at          timestamptz NOT NULL,
    expires_at          timestamptz NOT NULL,
    -- What is known of the latest SMS.
    delivery            text NOT NULL DEFAULT 'queued'
        CONSTRAINT delivery_is_known CHECK (delivery IN ('queued', 'sent', 'delivered', 'failed', 'unknown')),
    -- The provider's own message id, to ask it about delivery.
    provider_message_id text,
    verified_at         timestamptz,
    -- Set when the first send surely never left: no SMS exists, so no code can come.
    failed_at           timestamptz
) WITH (fillfactor = 80);
