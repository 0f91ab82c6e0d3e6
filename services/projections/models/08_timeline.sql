-- What happened to an account, one row per fact, or per item where a fact is about several. Read in key order with a
-- cursor; an item's own history is its account's, filtered.

CREATE TABLE timeline (
    account_id     uuid        NOT NULL,
    effective_on   date        NOT NULL,
    recorded_at    timestamptz NOT NULL,
    stream         text        NOT NULL,
    stream_version int         NOT NULL,
    line           int         NOT NULL,
    type           text        NOT NULL,                -- invoice.issued, payment.applied, ...
    branch         text        NOT NULL,
    item_id        uuid,
    currency       text,
    amount_minor   bigint,                              -- as the fact names it; its sign follows the type
    actor          text        NOT NULL,
    summary        json        NOT NULL,                -- a few members, depending on the type
    PRIMARY KEY (account_id, effective_on, recorded_at, stream, stream_version, line)
);
