-- Creates or completes the role that pghaul connects as, with the rights a backup needs and no more.
--
--   psql -d postgres -v role=pghaul -f backup-role.sql
--
-- Run it as a superuser, in the database that pghaul connects to ("postgres" unless told otherwise):
-- rights on functions belong to one database. It may be run again at any time. The role gets no password
-- here: peer authentication, or a .pgpass file and \password, are up to you.
--
-- PostgreSQL 13 to 18; releases before 15 have the functions under other names.

\set ON_ERROR_STOP on
\if :{?role}
\else
  \set role pghaul
\endif

BEGIN;

SELECT format('CREATE ROLE %I LOGIN', :'role')
WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = :'role')
\gexec

-- A temporary replication slot keeps the WAL of a running backup (--wal include).
ALTER ROLE :"role" LOGIN REPLICATION;

-- Where the data directory and the configuration files are.
GRANT pg_read_all_settings TO :"role";

-- To see whether a segment arrives by the archive (--wal auto, check); without it WAL is copied.
GRANT EXECUTE ON FUNCTION pg_catalog.pg_switch_wal() TO :"role";

-- psql replaces no variables within a DO block, so the name travels as a setting.
SELECT pg_catalog.set_config('pghaul.role', :'role', true) \g /dev/null

DO $$
DECLARE
  signature text;
BEGIN
  IF pg_catalog.current_setting('server_version_num')::int >= 150000 THEN
    FOREACH signature IN ARRAY ARRAY['pg_catalog.pg_backup_start(text, boolean)',
                                     'pg_catalog.pg_backup_stop(boolean)']
    LOOP
      EXECUTE pg_catalog.format('GRANT EXECUTE ON FUNCTION %s TO %I', signature,
                                pg_catalog.current_setting('pghaul.role'));
    END LOOP;
  ELSE
    FOREACH signature IN ARRAY ARRAY['pg_catalog.pg_start_backup(text, boolean, boolean)',
                                     'pg_catalog.pg_stop_backup(boolean, boolean)']
    LOOP
      EXECUTE pg_catalog.format('GRANT EXECUTE ON FUNCTION %s TO %I', signature,
                                pg_catalog.current_setting('pghaul.role'));
    END LOOP;
  END IF;
END
$$;

COMMIT;
