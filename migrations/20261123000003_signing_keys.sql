-- The keys tokens are signed with. The private half is sealed under a key that is not in the
-- database; the public half is derived from it.
CREATE TABLE signing_keys (
    -- RFC 7638 thumbprint of the public key.
    kid            text PRIMARY KEY,
    algorithm      text NOT NULL CONSTRAINT algorithm_is_known CHECK (algorithm IN ('ES256')),
    -- PKCS #8, AES-256-GCM bound to kid.
    private_sealed bytea NOT NULL,
    created_at     timestamptz NOT NULL
);
