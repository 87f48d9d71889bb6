-- Tables that stay flat: what is over leaves by itself, whole partitions at a time where there are many rows,
-- in small batches elsewhere (src/retention/).
-- Every statement of the version before this one runs on as it is: the columns and keys stay, and
-- audit_prepare_month keeps its name.

-- The least UUIDv7 of a millisecond.
CREATE FUNCTION uuid_v7_floor(at timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT rpad(lpad(to_hex(floor(extract(epoch FROM at) * 1000)::bigint), 12, '0'), 32, '0')::uuid
$$;

-- otp_requests by the time in its ids, which are UUIDv7: the key stays the key, and a look-up by it finds its
-- partition. Eight hours each: rows leave 12 to 20 hours after they came, and there are five partitions at a
-- time to plan for.
CREATE FUNCTION otp_requests_slot(at timestamptz) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$
    SELECT to_timestamp(floor(extract(epoch FROM at) / 28800) * 28800)
$$;

ALTER TABLE otp_requests RENAME TO otp_requests_before;
ALTER INDEX otp_requests_pkey RENAME TO otp_requests_before_pkey;
ALTER INDEX otp_requests_due_at_idx RENAME TO otp_requests_before_due_at_idx;
CREATE TABLE otp_requests (
    LIKE otp_requests_before INCLUDING DEFAULTS INCLUDING CONSTRAINTS,
    PRIMARY KEY (id)
) PARTITION BY RANGE (id);
CREATE INDEX otp_requests_due_at_idx ON otp_requests (due_at) WHERE due_at IS NOT NULL;
-- For a time that nobody prepared.
CREATE TABLE otp_requests_default PARTITION OF otp_requests DEFAULT;

DO $$
DECLARE
    bound uuid := uuid_v7_floor(otp_requests_slot(now()) + interval '8 hours');
    granted record;
BEGIN
    -- Whoever may use the table may use it still.
    FOR granted IN
        SELECT a.privilege_type, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END AS grantee
        FROM pg_class AS c, aclexplode(c.relacl) AS a
        WHERE c.oid = 'otp_requests_before'::regclass AND a.grantee <> c.relowner
    LOOP
        EXECUTE format('GRANT %s ON otp_requests TO %s', granted.privilege_type, granted.grantee);
    END LOOP;
    IF EXISTS (SELECT FROM otp_requests_before) THEN
        WITH moved AS (DELETE FROM otp_requests_before WHERE id >= bound RETURNING *)
        INSERT INTO otp_requests_default SELECT * FROM moved;
        EXECUTE format('ALTER TABLE otp_requests ATTACH PARTITION otp_requests_before
            FOR VALUES FROM (MINVALUE) TO (%L)', bound);
    ELSE
        DROP TABLE otp_requests_before;
    END IF;
END $$;

-- The functions below run as the tables' owner, since the service's own user may be one that cannot make
-- tables. They wait 100 ms for a lock and then fail, to be called again: a dump or a report that reads the
-- table for an hour would otherwise make every send wait behind them.

-- Makes the partition of a time, unless it is there. Rows that came too early for it are in the default one,
-- and move, under a lock on the whole table: a statement that knew of the default partition only would not
-- find them where they are now.
CREATE FUNCTION otp_requests_prepare(at timestamptz) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET lock_timeout = '100ms' AS $$
DECLARE
    slot timestamptz := otp_requests_slot(at);
    name text := 'otp_requests_' || to_char(slot AT TIME ZONE 'UTC', 'YYYYMMDD_HH24');
    first uuid := uuid_v7_floor(slot);
    above uuid := uuid_v7_floor(slot + interval '8 hours');
BEGIN
    IF to_regclass(quote_ident(name)) IS NOT NULL THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('otp-auth partitions of otp_requests', 0));
    IF to_regclass(quote_ident(name)) IS NOT NULL THEN
        RETURN;
    END IF;
    -- Room for in-page updates, of which a row has three or four. Inserts alone are no reason to vacuum what
    -- is dropped within a day.
    EXECUTE format('CREATE TABLE %I (LIKE otp_requests INCLUDING ALL) WITH (fillfactor = 80,
        autovacuum_vacuum_scale_factor = 0.1, autovacuum_vacuum_insert_threshold = -1)', name);
    IF EXISTS (SELECT FROM otp_requests_default WHERE id >= first AND id < above) THEN
        LOCK TABLE otp_requests IN ACCESS EXCLUSIVE MODE;
        EXECUTE format('WITH moved AS (DELETE FROM otp_requests_default WHERE id >= %L AND id < %L
            RETURNING *) INSERT INTO %I SELECT * FROM moved', first, above, name);
    END IF;
    EXECUTE format('ALTER TABLE otp_requests ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
        name, first, above);
EXCEPTION
    -- The partition of the rows that were there before has that time.
    WHEN invalid_object_definition THEN
        RETURN;
END $$;

-- The partitions of a table with the ends of their ranges; those without an end are left out. A function with
-- settings of its own is not merged into the query around it, which would read the ends of other tables too.
CREATE FUNCTION partition_ends(parent regclass) RETURNS TABLE (partition regclass, above text)
    LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
    SELECT c.oid::regclass, substring(pg_get_expr(c.relpartbound, c.oid) FROM $re$ TO \('([^']+)'\)$re$)
    FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
    WHERE i.inhparent = parent AND pg_get_expr(c.relpartbound, c.oid) ~ $re$ TO \('$re$
$$;

-- Drops the partitions whose requests are all of before a time, and returns how many; and takes up to 1000
-- such rows out of the default one.
CREATE FUNCTION otp_requests_drop(before timestamptz) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET lock_timeout = '100ms' AS $$
DECLARE
    over regclass;
    dropped integer := 0;
BEGIN
    DELETE FROM otp_requests_default WHERE id IN (
        SELECT id FROM otp_requests_default WHERE created_at < before LIMIT 1000 FOR UPDATE SKIP LOCKED);
    FOR over IN
        SELECT partition FROM partition_ends('otp_requests') WHERE above::uuid <= uuid_v7_floor(before)
    LOOP
        EXECUTE format('DROP TABLE %s', over);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END $$;

-- As before, but without the lock on the whole table, and events of the month that are in the default
-- partition move. To let them, the default partition leaves the table for a moment: as a part of it, it
-- refuses to give up an event.
CREATE OR REPLACE FUNCTION audit_prepare_month(at timestamptz) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET lock_timeout = '100ms' AS $$
DECLARE
    first timestamptz := date_trunc('month', at, 'UTC');
    -- A month of UTC, whatever the session's time zone makes of intervals.
    above timestamptz := (first AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC';
    name text := 'audit_events_' || to_char(first AT TIME ZONE 'UTC', 'YYYY_MM');
    early boolean;
BEGIN
    IF to_regclass(quote_ident(name)) IS NOT NULL THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('otp-auth ' || name, 0));
    IF to_regclass(quote_ident(name)) IS NOT NULL THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE audit_events INCLUDING ALL)', name);
    SELECT EXISTS (SELECT FROM audit_events_default AS e WHERE e.at >= first AND e.at < above) INTO early;
    IF early THEN
        ALTER TABLE audit_events DETACH PARTITION audit_events_default;
        EXECUTE format('WITH moved AS (DELETE FROM audit_events_default AS e WHERE e.at >= %L AND e.at < %L
            RETURNING *) INSERT INTO %I SELECT * FROM moved', first, above, name);
    END IF;
    EXECUTE format('ALTER TABLE audit_events ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
        name, first, above);
    IF early THEN
        ALTER TABLE audit_events ATTACH PARTITION audit_events_default DEFAULT;
    END IF;
END $$;

-- Drops the months that ended before a time, and returns how many. It refuses to drop what is younger than
-- 30 days, whoever asks: the log is there for those who come after a break-in, too.
CREATE FUNCTION audit_drop(before timestamptz) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET lock_timeout = '100ms' AS $$
DECLARE
    over regclass;
    dropped integer := 0;
BEGIN
    IF before > now() - interval '30 days' THEN
        RAISE EXCEPTION 'audit_events keeps 30 days' USING ERRCODE = 'insufficient_privilege';
    END IF;
    FOR over IN
        SELECT partition FROM partition_ends('audit_events') WHERE above::timestamptz <= before
    LOOP
        EXECUTE format('DROP TABLE %s', over);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END $$;

SELECT otp_requests_prepare(now() + ahead * interval '8 hours') FROM generate_series(0, 3) AS ahead;

-- Who does what only one replica is to do.
CREATE TABLE leases (
    name       text PRIMARY KEY,
    -- The replica: an id it draws when it starts.
    holder     uuid NOT NULL,
    held_until timestamptz NOT NULL
);

-- PostgreSQL vacuums a table when a fifth of it is dead. Of a table in which rows come, change and go all the
-- time that is too late: it would be a fifth larger than it must be, and each vacuum would be a long one.
ALTER TABLE phone_throttles SET (autovacuum_vacuum_scale_factor = 0.02);
ALTER TABLE address_throttles SET (autovacuum_vacuum_scale_factor = 0.02);
ALTER TABLE sessions SET (autovacuum_vacuum_scale_factor = 0.02);
-- Rows live for minutes: what is dead is soon more than what lives. Not to give pages back to the file system
-- at the end of a vacuum spares the lock that needs; the next minutes use them again.
ALTER TABLE idempotency_keys SET (autovacuum_vacuum_scale_factor = 0.05, vacuum_truncate = false);
ALTER TABLE spent_refresh_tokens SET (autovacuum_vacuum_scale_factor = 0.05, vacuum_truncate = false);
ALTER TABLE revocations SET (autovacuum_vacuum_scale_factor = 0.05, vacuum_truncate = false);
-- A handful of rows that change with every SMS or every logout: a share of them is nothing to go by.
ALTER TABLE sms_counters SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);
ALTER TABLE revocation_feed SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
ALTER TABLE leases SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
