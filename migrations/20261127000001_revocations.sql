-- The feed of revocations: which sessions ended although access tokens of theirs may still live.
-- A new table with triggers only: the version before this one runs on beside it, and feeds it.

-- The last cursor. To count it up is to take this row's lock until the commit, so cursors are committed
-- in their order: who has read up to one has missed none below it.
CREATE TABLE revocation_feed (
    is_only     boolean PRIMARY KEY DEFAULT true CONSTRAINT there_is_one_row CHECK (is_only),
    last_cursor bigint NOT NULL DEFAULT 0
);
INSERT INTO revocation_feed DEFAULT VALUES;

CREATE TABLE revocations (
    cursor     bigint PRIMARY KEY,
    -- NULL = all of the user, who is no more.
    session_id uuid,
    user_id    uuid NOT NULL,
    revoked_at timestamptz NOT NULL,
    -- When the last access token is surely over. The row says nothing afterwards, and leaves.
    expires_at timestamptz NOT NULL
);
CREATE INDEX revocations_expires_at_idx ON revocations (expires_at);

-- Tells everybody, unless every access token is over anyway.
CREATE FUNCTION revoke_tokens(session uuid, person uuid, at timestamptz, until timestamptz)
    RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    next bigint;
BEGIN
    IF until <= at THEN
        RETURN;
    END IF;
    UPDATE revocation_feed SET last_cursor = last_cursor + 1 RETURNING last_cursor INTO next;
    INSERT INTO revocations (cursor, session_id, user_id, revoked_at, expires_at)
        VALUES (next, session, person, at, until);
    PERFORM pg_notify('otp_auth_revocations', '');
END $$;

-- When the last access token of a session is surely over: what token_kids says, and 60 s for verifiers
-- whose clocks are behind. A session of the version before token_kids has one token of at most a day.
CREATE FUNCTION tokens_end(kids jsonb, created_at timestamptz)
    RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(
            (SELECT to_timestamp(max(value::bigint)) FROM jsonb_each_text(kids)),
            created_at + interval '1 day')
        + interval '60 seconds'
$$;

-- Whatever ends a session, also a statement by hand, feeds it.
CREATE FUNCTION tell_of_ended_session() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM revoke_tokens(OLD.id, OLD.user_id, now(), tokens_end(OLD.token_kids, OLD.created_at));
    ELSE
        PERFORM revoke_tokens(NEW.id, NEW.user_id, NEW.ended_at, tokens_end(NEW.token_kids, NEW.created_at));
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER session_ended AFTER UPDATE ON sessions FOR EACH ROW
    WHEN (OLD.ended_at IS NULL AND NEW.ended_at IS NOT NULL)
    EXECUTE FUNCTION tell_of_ended_session();
CREATE TRIGGER session_deleted AFTER DELETE ON sessions FOR EACH ROW
    WHEN (OLD.ended_at IS NULL)
    EXECUTE FUNCTION tell_of_ended_session();

-- Sessions that ended a moment ago.
SELECT revoke_tokens(id, user_id, now(), tokens_end(token_kids, created_at))
FROM sessions WHERE ended_at > now() - interval '1 day' ORDER BY ended_at;
