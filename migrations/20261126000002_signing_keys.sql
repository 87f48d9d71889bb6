-- Signing keys that follow one another: next -> active -> retiring -> gone. A key that is gone is deleted;
-- the audit log remembers it.
-- The version before this one runs on beside it: what it inserts is its first key, which is active at once.

ALTER TABLE signing_keys
    DROP CONSTRAINT algorithm_is_known,
    ADD CONSTRAINT algorithm_is_known CHECK (algorithm IN ('ES256', 'EdDSA', 'RS256')),
    -- 'next' is published and does not sign yet, 'active' signs, 'retiring' signed and is still published.
    ADD COLUMN state text NOT NULL DEFAULT 'active'
        CONSTRAINT state_is_known CHECK (state IN ('next', 'active', 'retiring')),
    -- When a next key is to begin to sign, if all named verifiers have seen it by then.
    ADD COLUMN promote_at timestamptz
        CONSTRAINT a_next_key_has_its_time CHECK ((state = 'next') = (promote_at IS NOT NULL)),
    -- When it began to sign; NULL in a row of the version before this one, which signed at once.
    ADD COLUMN active_at timestamptz,
    -- When it ended to sign.
    ADD COLUMN retired_at timestamptz,
    -- When a retiring key leaves the JWKS: no token that it signed is valid any longer.
    ADD COLUMN gone_at timestamptz
        CONSTRAINT a_retiring_key_has_its_end CHECK ((state = 'retiring') = (gone_at IS NOT NULL));

-- Replicas take turns under a lock, so these never stop one of ours; they stop a defect.
CREATE UNIQUE INDEX signing_keys_one_active ON signing_keys (state) WHERE state = 'active';
CREATE UNIQUE INDEX signing_keys_one_next ON signing_keys (state) WHERE state = 'next';

-- Which verifier that the settings name fetched a JWKS with which key. A promotion waits for them.
CREATE TABLE verifier_sightings (
    -- As it names itself and the settings name it.
    verifier      text NOT NULL,
    kid           text NOT NULL
        CONSTRAINT verifier_sightings_kid_fkey REFERENCES signing_keys (kid) ON DELETE CASCADE,
    first_seen_at timestamptz NOT NULL,
    -- To the minute: not every fetch is written.
    last_seen_at  timestamptz NOT NULL,
    PRIMARY KEY (verifier, kid)
);
CREATE INDEX verifier_sightings_kid_idx ON verifier_sightings (kid);
