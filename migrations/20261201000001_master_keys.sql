-- A master key that can be replaced.
-- New tables only: the version before this one runs on beside it, as long as the master key is the first one.

-- Keys that outlive the master key they were derived from, since what was hashed with them is in the other
-- tables (src/secrets/carried.rs).
CREATE TABLE carried_keys (
    name   text PRIMARY KEY,
    -- The id of the master key from which it was derived.
    origin bytea NOT NULL CONSTRAINT origin_is_a_key_id CHECK (octet_length(origin) = 4),
    -- AES-256-GCM bound to the name.
    sealed bytea NOT NULL
);

-- Under which master keys rows may be sealed. The ids only tell keys apart; the keys are not here.
CREATE TABLE master_keys (
    key_id  bytea PRIMARY KEY CONSTRAINT key_id_is_32_bits CHECK (octet_length(key_id) = 4),
    -- When a replica first began to seal with it.
    used_at timestamptz NOT NULL
);
