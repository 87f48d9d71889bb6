-- Sessions that are refreshed, listed and ended.
-- New columns with defaults and a new table only: the version before this one runs on beside it. Its own
-- sessions have no refresh token, and end by themselves when their one access token surely has.

ALTER TABLE sessions
    -- What the login asked for of what its client may have; NULL = all of it.
    ADD COLUMN audience text[],
    ADD COLUMN scopes text[],
    ADD COLUMN last_used_at timestamptz NOT NULL DEFAULT now(),
    -- The session's end, however much it is used. A day is the longest life of an access token.
    ADD COLUMN expires_at timestamptz NOT NULL DEFAULT now() + interval '1 day',
    -- SHA-256 of the refresh token, which has 256 random bits, and its end if it is not used.
    ADD COLUMN refresh_hash bytea CONSTRAINT refresh_hash_is_a_sha256 CHECK (octet_length(refresh_hash) = 32),
    ADD COLUMN refresh_expires_at timestamptz,
    -- What the user is shown of it: user agent and address prefix (AES-256-GCM bound to the id).
    ADD COLUMN seen_sealed bytea,
    -- By which keys its access tokens that may still live were signed: {"<kid>": <latest exp>}, in
    -- seconds since 1970.
    ADD COLUMN token_kids jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN ended_at timestamptz,
    -- Why it was ended before its time: a stable name.
    ADD COLUMN ended_by text,
    ADD CONSTRAINT an_end_has_a_reason CHECK ((ended_at IS NULL) = (ended_by IS NULL));
ALTER TABLE sessions SET (fillfactor = 70); -- room for in-page (HOT) updates: a refresh changes the row

-- Refresh tokens that were used a moment ago. Whoever shows one again within that moment, such as another
-- tab of the same browser, gets the same successor; rows leave when it is over.
CREATE TABLE spent_refresh_tokens (
    token_hash       bytea PRIMARY KEY
        CONSTRAINT token_hash_is_a_sha256 CHECK (octet_length(token_hash) = 32),
    session_id       uuid NOT NULL
        CONSTRAINT spent_refresh_tokens_session_id_fkey REFERENCES sessions (id) ON DELETE CASCADE,
    spent_at         timestamptz NOT NULL,
    -- The token that replaced it (AES-256-GCM bound to token_hash).
    successor_sealed bytea NOT NULL
);
CREATE INDEX spent_refresh_tokens_session_id_idx ON spent_refresh_tokens (session_id);
CREATE INDEX spent_refresh_tokens_spent_at_idx ON spent_refresh_tokens (spent_at);

-- `token_kids` with one more token, and without those that are over.
CREATE FUNCTION token_kids_with(kids jsonb, kid text, expires_at timestamptz, now timestamptz)
    RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(
            (SELECT jsonb_object_agg(key, value) FROM jsonb_each(kids)
             WHERE value::bigint > extract(epoch FROM now)), '{}')
        || jsonb_build_object(kid, greatest(floor(extract(epoch FROM expires_at))::bigint,
            (kids -> kid)::bigint))
$$;
