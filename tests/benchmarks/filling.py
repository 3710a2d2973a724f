"""Millions of people in a migrated PostgreSQL database of Keycard, made by the database itself.

They are as years of use leave them: registered over two years, one in a hundred suspended, one in a hundred deleted, half with
a proven address, each with a session and a few lines in the log, a handful of administrators. All have the same password.
"""

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg
from psycopg.rows import tuple_row

ADMINS = 5
# Per person; the log of the largest table has three times as many rows as there are people.
EVENTS = 3
# In whole numbers of people: one in so many.
MAILS, TOKENS, FAILURES = 2, 4, 4
GROWING = ("users", "user_roles", "sessions", "audit_events", "outgoing_emails", "one_time_tokens", "sign_in_failures")

# What every statement below may use. n: the number of a person, from 1 on, in the order of registration.
_WORDS = """
    CREATE FUNCTION pg_temp.person(n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT md5('person ' || n::text)::uuid $$;
    CREATE FUNCTION pg_temp.is_deleted(n bigint) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT mod(n, 100) = 99 $$;
    CREATE FUNCTION pg_temp.is_suspended(n bigint) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT mod(n, 100) = 98 $$;
    CREATE FUNCTION pg_temp.moment(n bigint, of bigint, days int) RETURNS timestamptz LANGUAGE sql STABLE
        AS $$ SELECT now() - interval '1 hour' - interval '1 day' * days * ((of - n)::float8 / of) $$;
"""
_USERS = """
    INSERT INTO users (id, username, username_key, email, email_key, email_verified_at, display_name, password_hash,
                       password_changed_at, status, suspended_reason, deleted_at, epoch, epoch_changed_at, version,
                       created_at, updated_at)
    SELECT pg_temp.person(n),
           CASE WHEN deleted THEN 'deleted' ELSE 'person' || n END,
           CASE WHEN deleted THEN 'deleted:' || encode(sha256(('person' || n)::bytea), 'hex') ELSE 'person' || n END,
           CASE WHEN NOT deleted THEN 'person' || n || '@example.com' END,
           CASE WHEN NOT deleted THEN 'person' || n || '@example.com' END,
           CASE WHEN NOT deleted AND mod(n, 2) = 0 THEN born END,
           CASE WHEN NOT deleted THEN 'Person ' || n END,
           CASE WHEN deleted THEN '' ELSE %(password_hash)s END,
           born,
           CASE WHEN deleted OR pg_temp.is_suspended(n) THEN 'suspended' ELSE 'active' END,
           CASE WHEN pg_temp.is_suspended(n) THEN 'Did not pay.' END,
           CASE WHEN deleted THEN born + interval '30 minutes' END,
           CASE WHEN deleted THEN 1 ELSE 0 END,
           CASE WHEN deleted THEN born + interval '30 minutes' END,
           CASE WHEN deleted THEN 2 ELSE 1 END,
           born, born
    FROM (SELECT n, pg_temp.moment(n, %(people)s, 730) AS born, pg_temp.is_deleted(n) AS deleted
          FROM generate_series(1, %(people)s) AS n) AS numbered
"""
_ROLES = """
    INSERT INTO user_roles (user_id, role)
    SELECT pg_temp.person(n), role
    FROM generate_series(1, %(people)s) AS n,
         LATERAL (VALUES ('user', true), ('editor', mod(n, 20) = 7), ('admin', n <= %(admins)s)) AS held (role, holds)
    WHERE holds AND NOT pg_temp.is_deleted(n)
"""
# Signed in during the last month, refreshed during the last week; one in ten has ended, three in a hundred wait for the purge.
_SESSIONS = """
    INSERT INTO sessions (id, user_id, delivery, csrf_token, refresh_id, previous_refresh_id, rotated_at, authenticated_at,
                          created_at, last_used_at, expires_at, refresh_expires_at, access_expires_at, ended_at, end_reason,
                          ip_address, user_agent)
    SELECT gen_random_uuid(), pg_temp.person(n), CASE WHEN mod(n, 3) = 0 THEN 'cookie' ELSE 'body' END, md5('csrf ' || n),
           gen_random_uuid(), gen_random_uuid(), used, born, born, used, born + interval '30 days', used + interval '7 days',
           used + interval '15 minutes', CASE WHEN ended THEN used END, CASE WHEN ended THEN 'logout' END,
           CASE WHEN NOT deleted THEN '192.0.2.' || mod(n, 250) END,
           CASE WHEN NOT deleted THEN 'Mozilla/5.0 (X11; Linux x86_64)' END
    FROM (SELECT n, deleted, deleted OR mod(n, 10) = 0 AS ended, used, used - interval '21 days' * random() AS born
          FROM (SELECT n, pg_temp.is_deleted(n) OR pg_temp.is_suspended(n) AS deleted,
                       now() - interval '7.2 days' * random() AS used
                FROM generate_series(1, %(people)s) AS n) AS numbered) AS timed
"""
# In the order of time, as a log is written; about anybody at any time. A day's share waits for the purge.
_EVENTS = """
    INSERT INTO audit_events (id, created_at, type, subject_id, actor_id, session_id, ip_address, user_agent, detail)
    SELECT gen_random_uuid(), pg_temp.moment(at, %(events)s, 366),
           CASE WHEN by_admin THEN 'suspended' WHEN mod(at, 10) = 1 THEN 'sign_in_failed' WHEN mod(at, 10) < 4 THEN 'signed_in'
                WHEN mod(at, 1000) = 9 THEN 'email_changed' ELSE 'refreshed' END,
           pg_temp.person(about),
           CASE WHEN by_admin THEN pg_temp.person(1 + mod(at, %(admins)s)) WHEN mod(at, 10) <> 1 THEN pg_temp.person(about) END,
           CASE WHEN mod(at, 10) <> 1 THEN gen_random_uuid() END,
           CASE WHEN NOT pg_temp.is_deleted(about) THEN '192.0.2.' || mod(at, 250) END,
           CASE WHEN NOT pg_temp.is_deleted(about) THEN 'Mozilla/5.0 (X11; Linux x86_64)' END,
           NULL
    FROM (SELECT at, mod(at, 300) = 0 AS by_admin, 1 + floor(random() * %(people)s)::bigint AS about
          FROM generate_series(1, %(events)s) AS at) AS numbered
"""
# Almost all has left within the week after which it is purged. What waits is due tomorrow, so that nobody is written to.
_MAILS = """
    INSERT INTO outgoing_emails (id, kind, user_id, recipient, status, attempts, next_attempt_at, created_at, finished_at)
    SELECT gen_random_uuid(), 'verify_email', pg_temp.person(1 + floor(random() * %(people)s)::bigint),
           CASE WHEN status IN ('pending', 'dead') THEN 'somebody@example.com' ELSE '' END, status, 1,
           CASE WHEN status = 'pending' THEN now() + interval '1 day' ELSE asked END, asked,
           CASE WHEN status <> 'pending' THEN asked END
    FROM (SELECT CASE WHEN mod(at, 1000) = 1 THEN 'pending' WHEN mod(at, 1000) = 2 THEN 'dead' WHEN mod(at, 50) = 3 THEN 'dropped'
                      ELSE 'sent' END AS status, now() - interval '7.1 days' * random() AS asked
          FROM generate_series(1, %(people)s / %(mails)s) AS at) AS numbered
"""
_TOKENS = """
    INSERT INTO one_time_tokens (digest, purpose, user_id, email, created_at, expires_at)
    SELECT encode(sha256(('token ' || n)::bytea), 'hex'), CASE WHEN mod(n, 3) = 0 THEN 'reset_password' ELSE 'verify_email' END,
           pg_temp.person(n), 'person' || n || '@example.com', made, made + interval '1 day'
    FROM (SELECT n, now() - interval '1.02 days' * random() AS made
          FROM generate_series(1, %(people)s, %(tokens)s) AS n) AS numbered
"""
_FAILURES = """
    INSERT INTO sign_in_failures (account, network, failures, last_failed_at)
    SELECT pg_temp.person(n)::text, network, 1, now() - interval '1.02 days' * random()
    FROM generate_series(1, %(people)s, %(failures)s) AS n, LATERAL (VALUES ('*'), ('192.0.2.0/24')) AS counted (network)
"""


def fill(url: str, people: int, password_hash: str) -> None:
    """Add so many people, numbered from 1 on, to a database that has none of these. url: of a superuser, as libpq reads it."""
    values = {
        "people": people, "password_hash": password_hash, "admins": ADMINS, "events": people * EVENTS,
        "mails": MAILS, "tokens": TOKENS, "failures": FAILURES,
    }  # fmt: skip
    with psycopg.connect(url, autocommit=True, row_factory=tuple_row) as connection:
        connection.execute("SET maintenance_work_mem = '512MB'")
        connection.execute("SET synchronous_commit = off")
        connection.execute("SET session_replication_role = replica")  # no triggers: foreign keys are checked when they come back
        connection.execute(_WORDS)
        with _without_indexes(connection):
            for statement in (_USERS, _ROLES, _SESSIONS, _EVENTS, _MAILS, _TOKENS, _FAILURES):
                psycopg.ClientCursor(connection).execute(statement, values)
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")


@contextmanager
def _without_indexes(connection: psycopg.Connection) -> Iterator[None]:
    """Drop every index and key of the tables that grow, and make them again, for one insert at a time is slow."""
    tables = [list(GROWING)]
    keys = connection.execute(
        """SELECT conrelid::regclass, quote_ident(conname), pg_get_constraintdef(oid) FROM pg_constraint
           WHERE conrelid::regclass::text = ANY (%s) AND contype IN ('p', 'u', 'f') ORDER BY contype = 'f'""", tables
    ).fetchall()  # fmt: skip
    indexes = connection.execute(
        """SELECT indexrelid::regclass, pg_get_indexdef(indexrelid) FROM pg_index
           WHERE indrelid::regclass::text = ANY (%s)
             AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid AND contype IN ('p', 'u'))""", tables
    ).fetchall()  # fmt: skip
    for table, name, _ in reversed(keys):
        connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
    for name, _ in indexes:
        connection.execute(f"DROP INDEX {name}")
    yield
    for table, name, definition in keys:
        connection.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}")
    for _, definition in indexes:
        connection.execute(definition)


def names(people: int, count: int) -> Sequence[str]:
    """Names of so many different people who can sign in, at random; fewer where there are not so many."""
    chosen = random.sample(range(1, people + 1), min(people, count))
    return [f"person{number}" for number in chosen if number % 100 < 98]
