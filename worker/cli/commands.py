"""The commands and their options; each opens what it needs, asks one module for the answer, and prints it.

Nothing but typer is imported here at the top: no torch, no OpenVINO, no Celery, no database before a command runs.
"""

import sys
from collections.abc import Callable
from importlib.metadata import version
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.failure import MISUSED, CommandError, SpeakingGroup

if TYPE_CHECKING:
    from trainer.runtime.predictor import Predictor
    from worker.settings import Settings

PROGRAM = "python -m worker"

app = typer.Typer(
    name=PROGRAM,
    cls=SpeakingGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # its tracebacks can show local variables, and those hold patient data
    context_settings={"help_option_names": ["-h", "--help"]},
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts instead of a table for people.")]
StudyId = Annotated[str, typer.Argument(metavar="STUDY", help="The 12 characters by which reports name the study.")]


def main() -> None:
    """Run the command line; names that the terminal cannot show are printed with escapes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    app(prog_name=PROGRAM)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(version("brain-mri-triage"))
        raise typer.Exit


@app.callback()
def root(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Triage of brain MR scans: research use only, not a medical device.

    The worker itself is `celery -A worker worker`. Settings are TRIAGE_* environment variables, see docs/settings.md.
    """


@app.command()
def predict(
    ctx: typer.Context,
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH...", help="Files, folders (walked through) and zip archives.")
    ],
    as_json: AsJson = False,
) -> None:
    """Read scans here and now: no database, no broker, no worker.

    With --json one object a line: one for every study (a picture is a study of one) and one for every file that
    belongs to none because it was rejected. Lines appear as studies finish.
    """
    from worker.cli.opening import load_settings
    from worker.cli.prediction import load_configured_predictor, print_predictions

    settings = load_settings()
    load: Callable[[Settings], Predictor] = ctx.obj or load_configured_predictor
    print_predictions(paths, settings, load, as_json=as_json)


@app.command()
def worklist(as_json: AsJson = False) -> None:
    """List all studies in the order in which people should look at them: urgent first, then longest waiting."""
    from worker.cli.opening import load_settings, open_database
    from worker.cli.printing import print_json
    from worker.cli.tables import print_worklist
    from worker.cli.worklist import worklist_rows

    settings = load_settings()
    with open_database(settings) as session:
        rows = worklist_rows(session, settings.outbox)
    if as_json:
        print_json(rows)
    else:
        print_worklist(rows)


@app.command()
def status(as_json: AsJson = False) -> None:
    """Say what is waiting, how full the disk is, which model reads, and whether all is well."""
    from worker.cli.opening import load_settings
    from worker.cli.printing import print_json
    from worker.cli.status import read_status
    from worker.cli.tables import print_status

    found = read_status(load_settings())
    if as_json:
        print_json(found)
    else:
        print_status(found)


@app.command()
def show(study: StudyId, as_json: AsJson = False) -> None:
    """Show one study: files, series, predictions, findings, reports, and what happened when."""
    from worker.cli.details import read_details
    from worker.cli.opening import load_settings, open_database
    from worker.cli.printing import print_json
    from worker.cli.tables import print_details

    settings = load_settings()
    with open_database(settings) as session:
        details = read_details(session, study, settings.outbox)
    if details is None:
        raise CommandError(f"There is no study {study!r}; `{PROGRAM} worklist` lists those there are.")
    if as_json:
        print_json(details)
    else:
        print_details(details)


@app.command()
def retry(
    study: Annotated[str | None, typer.Argument(metavar="[STUDY]", help="One study, by the id its row shows.")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="All failed studies.")] = False,
) -> None:
    """Let failed studies be read again: a running worker takes them up within seconds, or the next one that starts."""
    from worker.cli.opening import load_settings, open_database
    from worker.cli.retry import retry_failed, retry_one

    if (study is None) is not failed:
        raise CommandError("Name either one STUDY or --failed.", MISUSED)
    with open_database(load_settings(), write=True) as session:
        count = retry_failed(session) if study is None else retry_one(session, study)
    typer.echo(f"{count} {'study is' if count == 1 else 'studies are'} due to be read again.")


@app.command()
def reprocess(
    studies: Annotated[
        list[str] | None, typer.Argument(metavar="[STUDY...]", help="Studies, by the ids their rows show.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All reported studies.")] = False,
    older: Annotated[
        bool, typer.Option("--older-than-model", help="All reported studies that an older model read.")
    ] = False,
) -> None:
    """Read studies again with today's model and settings, as a new revision that supersedes the one reported.

    The old report stays. A running worker takes them up after everything that has no report yet, or the next one that
    starts. A study that already waits to be read is left as it is; one that is in work, or has failed, is refused.
    """
    from worker.cli.opening import load_settings, open_database
    from worker.cli.reprocess import reprocess_all, reprocess_named, reprocess_older

    if sum((bool(studies), everything, older)) != 1:
        raise CommandError("Name either STUDY..., --all or --older-than-model.", MISUSED)
    settings = load_settings()
    with open_database(settings, write=True) as session:
        if studies:
            done = reprocess_named(session, studies)
        else:
            done = reprocess_all(session) if everything else reprocess_older(session, settings)
    waiting = f", {done.waiting} waited for that already" if done.waiting else ""
    typer.echo(f"{done.opened} {'study is' if done.opened == 1 else 'studies are'} due to be read again{waiting}.")


@app.command()
def purge(
    older_than: Annotated[int, typer.Option("--older-than", min=1, help="Days since anything happened to it.")],
    yes: Annotated[bool, typer.Option("--yes/--dry-run", help="Do it, or only say what would go.")] = False,
    rejected: Annotated[bool, typer.Option("--rejected", help="Rejected files too, and their bytes.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove finished work that is old from database, store and outbox; without --yes only say what would go.

    Reported studies go with their files, duplicates, answers and reports, and archives of which nothing else is kept.
    What waits, is in work or has failed never goes, and rejected files only with --rejected. The events stay, with one
    more that says what was purged. A worker may run meanwhile; the same file sent again is a new study.
    """
    from worker.cli.opening import load_settings
    from worker.cli.printing import print_json
    from worker.cli.purging import purge_home, purge_sentence

    found = purge_home(load_settings(), older_than, with_rejected=rejected, dry_run=not yes)
    if as_json:
        print_json(found)
    else:
        typer.echo(purge_sentence(found))


@app.command()
def backup(
    target: Annotated[Path, typer.Argument(metavar="TARGET", help="A new folder, best on another disk.")],
    as_json: AsJson = False,
) -> None:
    """Copy database, store, outbox and work in hand to a new folder while the worker goes on; exit 0 when all is there.

    The copy is a TRIAGE_HOME as it was at one moment; of a Postgres it holds a dump, triage.sql, made by pg_dump. Files
    still in the inbox are not in it. How to restore it: docs/operations.md.
    """
    from worker.cli.backing_up import back_up_home, backup_sentence
    from worker.cli.failure import FAILED
    from worker.cli.opening import load_settings
    from worker.cli.printing import print_json

    made = back_up_home(load_settings(), target)
    if as_json:
        print_json(made)
    else:
        typer.echo(backup_sentence(made))
    if made.missing:
        raise typer.Exit(FAILED)


@app.command()
def health(
    queues: Annotated[
        str | None, typer.Option("--queues", "-Q", help="Judge the work of these queues only, as for a worker's -Q.")
    ] = None,
) -> None:
    """Exit 0 when database and broker answer, the disk has room and work gets done; else 1 with a sentence."""
    from worker.cli.health import check_health, queues_named
    from worker.cli.opening import load_settings

    reasons = check_health(load_settings(), queues_named(queues))
    if reasons:
        raise CommandError(" ".join(reasons))
    typer.echo("Healthy: database and broker answer and no work is stuck.")


@app.command()
def doctor(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Look at everything a worker needs, and say what to do: exit 0 when nothing is in trouble, else 1.

    Settings, folders, disk, inbox, database, broker, model and engine, which reads one slice of noise. It changes
    nothing but the cache of the compiled network, and nothing that does not answer holds it for long.
    """
    from worker.cli.doctor import State, examine, print_lines
    from worker.cli.failure import FAILED
    from worker.cli.prediction import load_configured_predictor
    from worker.cli.printing import print_json

    load: Callable[[Settings], Predictor] = ctx.obj or load_configured_predictor
    found = examine(load)
    if as_json:
        print_json(found)
    else:
        print_lines(found)
    if found.state is State.TROUBLE:
        raise typer.Exit(FAILED)


@app.command()
def verify(
    sums: Annotated[
        bool, typer.Option("--sums", help="Read every stored and delivered file and check its sum.")
    ] = False,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair",
            help="Remove waste older than an hour; deliver again what the outbox lacks and the store has; have a wrong "
            "worklist page written again.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Compare database, store and outbox: exit 0 when they agree, else 1, naming what is lost, doubled or left over.

    A worker may run meanwhile. Every file is one of reported, rejected with its bytes and reason, a duplicate of a
    known one, an unpacked archive, part of a study that failed, or waiting. No finding names a patient or a file.
    """
    from worker.cli.failure import FAILED
    from worker.cli.opening import load_settings
    from worker.cli.printing import print_json
    from worker.cli.verification import print_verification
    from worker.cli.verification import verify as verify_home

    found = verify_home(load_settings(), sums=sums, put_right=repair)
    if as_json:
        print_json(found)
    else:
        print_verification(found)
    if not found.clean:
        raise typer.Exit(FAILED)
