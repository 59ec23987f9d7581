"""Frames of multi-frame images: where each lies, and a prediction for each; how an image's own window shows it.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ONE_A_FRAME = "uq_prediction_instance_id_frame_revision_model_version"
ONE_AN_INSTANCE = "uq_prediction_instance_id_revision_model_version"


def upgrade() -> None:
    """Go to this revision."""
    with op.batch_alter_table("instance") as batch_op:
        batch_op.add_column(sa.Column("frames", sa.JSON(), nullable=True))
        batch_op.add_column(sa.Column("grey_range", sa.JSON(), nullable=True))
    with op.batch_alter_table("prediction") as batch_op:
        batch_op.add_column(sa.Column("frame", sa.Integer(), nullable=False, server_default="1"))
        batch_op.drop_constraint(ONE_AN_INSTANCE, type_="unique")
        batch_op.create_unique_constraint(ONE_A_FRAME, ["instance_id", "frame", "revision", "model_version"])


def downgrade() -> None:
    """Go back to the one before; of each multi-frame image the first frame's prediction stays."""
    op.execute("DELETE FROM box WHERE prediction_id IN (SELECT id FROM prediction WHERE frame > 1)")
    op.execute("DELETE FROM prediction WHERE frame > 1")
    with op.batch_alter_table("prediction") as batch_op:
        batch_op.drop_constraint(ONE_A_FRAME, type_="unique")
        batch_op.create_unique_constraint(ONE_AN_INSTANCE, ["instance_id", "revision", "model_version"])
        batch_op.drop_column("frame")
    with op.batch_alter_table("instance") as batch_op:
        batch_op.drop_column("grey_range")
        batch_op.drop_column("frames")
