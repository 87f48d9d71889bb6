-- What a crash between two writes, or an answer that never came, must not lose.
-- New columns only, all with defaults: the version before this one runs on beside it.

ALTER TABLE otp_requests
    -- The SMS admitted for this request, oldest first: the ids of the operations that asked for
    -- them. Whoever repeats an operation finds here that it was done.
    ADD COLUMN send_ids uuid[] NOT NULL DEFAULT '{}',
    -- Names the latest SMS to the provider; the same in every try to send it.
    ADD COLUMN provider_key uuid,
    -- The provider's handles of the codes it made, newest last (code_owner = "vendor").
    ADD COLUMN provider_refs text[] NOT NULL DEFAULT '{}',
    -- When the background looks at the latest SMS next: while it is queued, the end of its sender's
    -- lease; once sent, the next question to the provider about its delivery; NULL when all is known
    -- that will be.
    ADD COLUMN due_at timestamptz,
    -- Questions asked about the latest SMS: about its delivery once it is sent; before that, how often
    -- the provider was asked for it once more because its answer was lost.
    ADD COLUMN polls smallint NOT NULL DEFAULT 0;

CREATE INDEX otp_requests_due_at_idx ON otp_requests (due_at) WHERE due_at IS NOT NULL;

ALTER TABLE phone_throttles
    -- The request that the live one superseded, with its sends, its tries and its code without an
    -- answer (see below): live again if the SMS of the live one surely never left.
    ADD COLUMN superseded_request_id uuid,
    ADD COLUMN superseded_sends integer NOT NULL DEFAULT 0,
    ADD COLUMN superseded_attempts integer NOT NULL DEFAULT 0,
    ADD COLUMN superseded_check_tag bytea,
    ADD COLUMN superseded_check_sealed bytea,
    -- The code being asked about at the provider (code_owner = "vendor"): which operation asks, and
    -- until when nobody else may.
    ADD COLUMN check_id uuid,
    ADD COLUMN check_until timestamptz,
    -- The one code whose answer is not known: its keyed hash, and the code as it was typed, sealed.
    -- If the provider says "used before", that code used it.
    ADD COLUMN check_tag bytea,
    ADD COLUMN check_sealed bytea;

ALTER TABLE idempotency_keys
    -- Names what the work makes (a request, an SMS, a session), also when somebody else takes the
    -- work over.
    ADD COLUMN operation_id uuid NOT NULL DEFAULT gen_random_uuid(),
    -- Until when whoever works on it has the key for himself. The version before this one has no
    -- leases: its keys are never taken over.
    ADD COLUMN lease_until timestamptz NOT NULL DEFAULT 'infinity';
