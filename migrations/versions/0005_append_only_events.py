"""Events are appended and never changed, and outlive the rows they tell of, whose ids are never given again.

SQLite drops triggers with their table: a later revision that changes `event` in a batch makes them again.

Revision ID: 0005
Revises: 0004
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

NAMED = {"study_id": "study", "file_id": "file"}
REFUSAL = "events are appended and never changed"
ON_SQLITE = "CREATE TRIGGER event_no_{0} BEFORE {0} ON event BEGIN SELECT RAISE(ABORT, '" + REFUSAL + "'); END"
ON_POSTGRES = (
    f"""
    CREATE FUNCTION refuse_event_change() RETURNS trigger LANGUAGE plpgsql
    AS $$ BEGIN RAISE EXCEPTION '{REFUSAL}' USING ERRCODE = 'restrict_violation'; END $$
    """,
    """
    CREATE TRIGGER event_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON event
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_event_change()
    """,
)


def upgrade() -> None:
    """Go to this revision."""
    on_sqlite = op.get_bind().dialect.name == "sqlite"
    with op.batch_alter_table("event") as batch_op:
        for column, table in NAMED.items():
            batch_op.drop_constraint(f"fk_event_{column}_{table}", type_="foreignkey")
    if on_sqlite:
        _give_ids_again(never=True)
        for change in ("UPDATE", "DELETE"):
            op.execute(ON_SQLITE.format(change))
    else:
        for statement in ON_POSTGRES:
            op.execute(statement)


def downgrade() -> None:
    """Go back to the one before; an event about a row that is gone no longer says which it was."""
    on_sqlite = op.get_bind().dialect.name == "sqlite"
    if on_sqlite:
        for change in ("UPDATE", "DELETE"):
            op.execute(f"DROP TRIGGER event_no_{change}")
        _give_ids_again(never=False)
    else:
        op.execute("DROP TRIGGER event_no_change ON event")
        op.execute("DROP FUNCTION refuse_event_change()")
    for column, table in NAMED.items():
        op.execute(
            f"UPDATE event SET {column} = NULL WHERE {column} IS NOT NULL "  # noqa: S608  names of this file alone
            f"AND NOT EXISTS (SELECT 1 FROM {table} WHERE {table}.id = event.{column})"
        )
    with op.batch_alter_table("event") as batch_op:
        for column, table in NAMED.items():
            batch_op.create_foreign_key(f"fk_event_{column}_{table}", table, [column], ["id"])


def _give_ids_again(*, never: bool) -> None:
    """SQLite gives the id of a deleted last row to the next one, unless it is told to keep count."""
    for table in NAMED.values():
        with op.batch_alter_table(table, recreate="always", table_kwargs={"sqlite_autoincrement": never}):
            pass
