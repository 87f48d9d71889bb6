-- What keeps strangers from guessing, flooding, pumping and locking out, and who did what.
-- New tables, and new columns with defaults only: the version before this one runs on beside it.

ALTER TABLE phone_throttles
    -- Wrong codes since the last right one: 100 stop the phone until an operator, or somebody whose
    -- device logged in before, lifts it (NIST SP 800-63B-4 section 3.2.2).
    ADD COLUMN failures_in_row integer NOT NULL DEFAULT 0,
    -- What callers with a device receipt took where the limits above had refused them: an allowance of
    -- their own, which nobody without a receipt can spend.
    ADD COLUMN known_send_log timestamptz[] NOT NULL DEFAULT '{}',
    ADD COLUMN known_failure_log timestamptz[] NOT NULL DEFAULT '{}',
    ADD COLUMN known_failures_in_row integer NOT NULL DEFAULT 0;

ALTER TABLE otp_requests
    -- The rows of sms_counters in which its SMS are counted, and what one SMS costs there.
    ADD COLUMN counted_in text[] NOT NULL DEFAULT '{}',
    ADD COLUMN cost_micros bigint NOT NULL DEFAULT 0;

ALTER TABLE sessions
    -- How the user proved who he is (RFC 8176): the token's `amr`.
    ADD COLUMN amr text[] NOT NULL DEFAULT '{otp,sms}';

-- One row an address (IPv6: a /64) that asked for codes. It holds no address: only its keyed hash.
CREATE TABLE address_throttles (
    address_key bytea PRIMARY KEY
        CONSTRAINT address_key_is_128_bits CHECK (octet_length(address_key) = 16),
    -- When each of its limits, which fill up evenly, will be full again: the one state of the generic cell
    -- rate algorithm (ITU-T I.371).
    full_at     timestamptz[] NOT NULL,
    -- Since when the two sets below are kept: the beginning of a UTC day.
    day_start   timestamptz NOT NULL,
    -- Which phones (64 bits of a keyed hash) and which countries it sent to that day.
    phones      bytea[] NOT NULL,
    countries   text[] NOT NULL
) WITH (fillfactor = 70);

-- SMS and their cost, by whom and where to. One row each for 'service', 'client:<id>',
-- 'country:<ISO 3166-1>' and 'prefix:<keyed hash of the number without its last four digits>'.
-- Windows are hours, days and months of UTC; a row whose window is over counts from zero.
CREATE TABLE sms_counters (
    scope           text PRIMARY KEY,
    hour_start      timestamptz NOT NULL,
    hour_messages   integer NOT NULL,
    hour_cost       bigint NOT NULL, -- millionths of the currency, here and below
    -- SMS whose code was not used so far.
    hour_unverified integer NOT NULL,
    day_start       timestamptz NOT NULL,
    day_messages    integer NOT NULL,
    day_cost        bigint NOT NULL,
    day_unverified  integer NOT NULL,
    -- Codes that were used that day, and in each of the 13 days before, the latest first.
    day_verified    integer NOT NULL,
    verified_before integer[] NOT NULL DEFAULT '{}',
    month_start     timestamptz NOT NULL,
    month_cost      bigint NOT NULL
) WITH (fillfactor = 50); -- room for in-page (HOT) updates: some rows change with every SMS

-- Which warnings about spending were given. Whoever inserts the row gives the warning.
CREATE TABLE spend_warnings (
    scope        text NOT NULL,
    period       text NOT NULL CONSTRAINT period_is_known CHECK (period IN ('hour', 'day', 'month')),
    period_start timestamptz NOT NULL,
    percent      smallint NOT NULL,
    PRIMARY KEY (scope, period, period_start, percent)
);

-- Whom operators block or let through.
CREATE TABLE access_rules (
    id           uuid PRIMARY KEY,
    kind         text NOT NULL CONSTRAINT kind_is_known CHECK (kind IN ('phone', 'prefix', 'network')),
    -- Keyed hash of the value, to find it by, and the value itself (AES-256-GCM bound to the hash).
    value_key    bytea NOT NULL,
    value_sealed bytea NOT NULL,
    verdict      text NOT NULL CONSTRAINT verdict_is_known CHECK (verdict IN ('block', 'allow')),
    reason       text NOT NULL,
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz,
    CONSTRAINT access_rules_value_key UNIQUE (kind, value_key)
);

-- What operators turn off and on for everybody. 'kill': no SMS at all. 'emergency': SMS to known users
-- only.
CREATE TABLE switches (
    name       text PRIMARY KEY CONSTRAINT name_is_known CHECK (name IN ('kill', 'emergency')),
    is_on      boolean NOT NULL,
    reason     text NOT NULL,
    changed_at timestamptz NOT NULL
);

-- Grows with every change to access_rules and switches, so that replicas see that there is one.
CREATE TABLE operator_changes (
    only_row boolean PRIMARY KEY DEFAULT true CONSTRAINT there_is_one_row CHECK (only_row),
    version  bigint NOT NULL
);
INSERT INTO operator_changes (version) VALUES (0);

-- Who did what, when, and how it ended. Rows are only ever added; a month's rows leave with their
-- partition.
CREATE TABLE audit_events (
    -- UUIDv7 of `at`, so that a look-up by id finds the partition.
    id          uuid NOT NULL,
    at          timestamptz NOT NULL,
    -- Such as 'otp.send'; the list is in src/audit/mod.rs.
    action      text NOT NULL,
    outcome     text NOT NULL CONSTRAINT outcome_is_known
        CHECK (outcome IN ('success', 'failure', 'refused', 'recorded')),
    -- Why it ended so: a stable name.
    reason      text,
    -- 'client:<id>', 'admin' or 'service'.
    actor       text NOT NULL,
    -- Keyed hashes.
    phone_index bytea,
    address_key bytea,
    user_id     uuid,
    request_id  uuid,
    session_id  uuid,
    -- The call's X-Request-Id.
    trace_id    text,
    -- Further facts: numbers and stable names.
    detail      jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (at, id)
) PARTITION BY RANGE (at);
-- For a month that nobody prepared.
CREATE TABLE audit_events_default PARTITION OF audit_events DEFAULT;
CREATE INDEX audit_events_phone_idx ON audit_events (phone_index, at) WHERE phone_index IS NOT NULL;
CREATE INDEX audit_events_user_idx ON audit_events (user_id, at) WHERE user_id IS NOT NULL;

CREATE FUNCTION audit_events_are_only_added() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit_events is append-only' USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER audit_events_append_only BEFORE UPDATE OR DELETE ON audit_events
    FOR EACH ROW EXECUTE FUNCTION audit_events_are_only_added();
CREATE TRIGGER audit_events_no_truncate BEFORE TRUNCATE ON audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION audit_events_are_only_added();

-- Makes the partition of a month, unless it is there. It runs as the tables' owner, since the service's
-- own user may be one that cannot make tables.
CREATE FUNCTION audit_prepare_month(at timestamptz) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    first timestamptz := date_trunc('month', at, 'UTC');
    name text := 'audit_events_' || to_char(first AT TIME ZONE 'UTC', 'YYYY_MM');
BEGIN
    IF to_regclass(quote_ident(name)) IS NULL THEN
        PERFORM pg_advisory_xact_lock(hashtextextended('otp-auth ' || name, 0));
        EXECUTE format('CREATE TABLE IF NOT EXISTS %I PARTITION OF audit_events FOR VALUES FROM (%L) TO (%L)',
            name, first, first + interval '1 month');
    END IF;
END $$;
