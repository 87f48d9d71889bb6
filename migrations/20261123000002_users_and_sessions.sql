-- One row a person, found by phone. The id is the token's `sub`: random, never the phone, never
-- used again.
CREATE TABLE users (
    id            uuid PRIMARY KEY,
    phone_index   bytea NOT NULL CONSTRAINT users_phone_index_key UNIQUE,
    -- The number itself (AES-256-GCM bound to phone_index), for tokens with scope `phone`.
    phone_sealed  bytea NOT NULL,
    created_at    timestamptz NOT NULL,
    last_login_at timestamptz NOT NULL
) WITH (fillfactor = 80);

-- One row a login. The id is the token's `sid`.
CREATE TABLE sessions (
    id         uuid PRIMARY KEY,
    user_id    uuid NOT NULL CONSTRAINT sessions_user_id_fkey REFERENCES users (id) ON DELETE CASCADE,
    client_id  text NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE INDEX sessions_user_id_idx ON sessions (user_id);
