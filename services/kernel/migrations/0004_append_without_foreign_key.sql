-- services/kernel/migrations/0004_append_without_foreign_key.sql
-- Why   the check that an event's stream exists ran once per fact and was a fifth of Postgres's part of an append. `append`
--       is the only writer of both tables, writes the stream first, and no role of ours may delete from `streams`
-- Locks events and streams exclusively, for a moment.  Time under 1 s.  Undo  ALTER TABLE events ADD FOREIGN KEY (stream)
--       REFERENCES streams
ALTER TABLE events DROP CONSTRAINT events_stream_fkey;
