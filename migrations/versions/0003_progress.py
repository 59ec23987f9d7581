"""Progress of a long analysis: how many slices of how many are done.

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go to this revision."""
    with op.batch_alter_table("study") as batch_op:
        batch_op.add_column(sa.Column("slices_done", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("slices_total", sa.Integer(), nullable=True))


def downgrade() -> None:
    """Go back to the one before."""
    with op.batch_alter_table("study") as batch_op:
        batch_op.drop_column("slices_total")
        batch_op.drop_column("slices_done")
