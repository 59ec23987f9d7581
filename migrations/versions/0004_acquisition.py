"""How slices were acquired, where boxes lie in the patient, and which study a rejected file names.

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go to this revision."""
    with op.batch_alter_table("instance") as batch_op:
        batch_op.add_column(sa.Column("acquisition", sa.JSON(), nullable=True))
    with op.batch_alter_table("box") as batch_op:
        batch_op.add_column(sa.Column("corners_mm", sa.JSON(), nullable=True))
    with op.batch_alter_table("file") as batch_op:
        batch_op.add_column(sa.Column("study_uid", sa.String(64), nullable=True))
        batch_op.add_column(sa.Column("series_name", sa.String(), nullable=True))
        batch_op.create_index("ix_file_study_uid", ["study_uid"])


def downgrade() -> None:
    """Go back to the one before."""
    with op.batch_alter_table("file") as batch_op:
        batch_op.drop_index("ix_file_study_uid")
        batch_op.drop_column("series_name")
        batch_op.drop_column("study_uid")
    with op.batch_alter_table("box") as batch_op:
        batch_op.drop_column("corners_mm")
    with op.batch_alter_table("instance") as batch_op:
        batch_op.drop_column("acquisition")
