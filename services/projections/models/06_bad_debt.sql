-- Placements with agencies, what they recovered, and write-offs from request to reversal.

CREATE TABLE placement (
    placement_id    uuid PRIMARY KEY,
    branch          text NOT NULL,
    account_id      uuid,
    agency          text,
    phase           text,
    currency        text,
    amount_minor    bigint NOT NULL DEFAULT 0,          -- as placed
    fee_bp          int,
    flat_fee_minor  bigint NOT NULL DEFAULT 0,
    recovered_minor bigint NOT NULL DEFAULT 0,          -- gross, net of what was reversed
    fee_minor       bigint NOT NULL DEFAULT 0,
    net_minor       bigint NOT NULL DEFAULT 0,
    status          text,                               -- placed, recalled, closed
    reason          text,                               -- of the recall; the outcome of a closure
    placed_on       date,
    ended_on        date
);
CREATE INDEX placement_by_account ON placement (account_id);
CREATE INDEX placement_by_day ON placement (placed_on);

CREATE TABLE placement_item (
    item_id      uuid   NOT NULL,
    placement_id uuid   NOT NULL,
    branch       text   NOT NULL,
    currency     text   NOT NULL,
    amount_minor bigint NOT NULL,
    PRIMARY KEY (item_id, placement_id)
);

CREATE TABLE recovery (
    stream         text        NOT NULL,
    stream_version int         NOT NULL,
    recovery_id    uuid        NOT NULL,
    placement_id   uuid        NOT NULL,
    branch         text        NOT NULL,
    account_id     uuid        NOT NULL,
    agency         text        NOT NULL,
    phase          text        NOT NULL,
    recovered_from text        NOT NULL,                -- agency, direct
    receipt_id     uuid,
    currency       text        NOT NULL,
    gross_minor    bigint      NOT NULL,
    fee_minor      bigint      NOT NULL,
    net_minor      bigint      NOT NULL,
    effective_on   date        NOT NULL,
    recorded_at    timestamptz NOT NULL,
    PRIMARY KEY (stream, stream_version)
);
CREATE INDEX recovery_by_day ON recovery (effective_on, branch);

-- `written_minor` is what the payment service really closed, and its day is in `movement` (cause written_off): a request
-- says only what somebody wanted.
CREATE TABLE write_off (
    write_off_id    uuid PRIMARY KEY,
    branch          text NOT NULL,
    account_id      uuid,
    item_id         uuid,
    currency        text,
    requested_minor bigint NOT NULL DEFAULT 0,
    written_minor   bigint NOT NULL DEFAULT 0,
    reversed_minor  bigint NOT NULL DEFAULT 0,
    reason          text,
    status          text,                               -- requested, approved, rejected, reversed
    requested_by    text,
    decided_by      text,                               -- who approved or rejected
    reversed_by     text,
    requested_on    date,
    decided_on      date,
    reversed_on     date
);
CREATE INDEX write_off_by_account ON write_off (account_id);
CREATE INDEX write_off_by_day ON write_off (requested_on);
