-- The first start of PostgreSQL in compose.yaml: a role for Keycard that owns its database and may do nothing else.
-- psql takes the password from the environment, so that it stands in no list of processes.
\getenv password DATABASE_PASSWORD
CREATE ROLE keycard LOGIN PASSWORD :'password';
CREATE DATABASE keycard OWNER keycard;
REVOKE ALL ON DATABASE keycard FROM PUBLIC;
