-- Branches, accounts and jobs as their newest fact has them. A row may stand here with its key and branch only: a fact
-- that names it came before the one that describes it.

CREATE TABLE branch (
    branch   text PRIMARY KEY,
    name     text,
    region   text,
    timezone text,
    first_on date                                       -- the earliest effective date of any movement
);

CREATE TABLE account (
    account_id uuid PRIMARY KEY,
    branch     text NOT NULL,                           -- the home branch
    number     text,
    name       text,
    profile    text,
    currency   text,
    terms_days int,
    collector  text,
    opened_on  date
);
CREATE INDEX account_by_branch ON account (branch, number);
CREATE INDEX account_by_number ON account (number);
CREATE INDEX account_by_collector ON account (collector) WHERE collector IS NOT NULL;

CREATE TABLE job (
    job_id     uuid PRIMARY KEY,
    branch     text NOT NULL,
    account_id uuid,
    number     text,
    name       text,
    opened_on  date
);
CREATE INDEX job_by_account ON job (account_id);
