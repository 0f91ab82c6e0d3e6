-- services/invoice/migrations/0001_claims.sql
-- Why   an invoice number is its branch's alone, an account number the firm's: a rule over many streams, which a
--       stream's version cannot guard. Filled in the transaction that appends the fact.
-- Locks none, new table.  Time under 1 s.  Undo  drop it and fold the facts again
CREATE TABLE claims (
    kind   text NOT NULL,                               -- account_number, invoice_number, credit_note_id, release_id
    scope  text NOT NULL,                               -- a branch code, or empty where it is unique everywhere
    value  text NOT NULL,
    stream text NOT NULL,                               -- who holds it, for good
    PRIMARY KEY (kind, scope, value)
);
-- No row-level security: a number is taken for everybody, also for those who may not see what took it. No more than
-- that is told of it.
GRANT SELECT, INSERT ON claims TO openitem_app;
