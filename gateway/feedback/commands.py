# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m gateway feedback [COMMAND]`: the pod, or what an operator does with its store."""

import argparse
import contextlib
import sys
from pathlib import Path
from subprocess import CalledProcessError

from gateway.feedback import app
from gateway.feedback.backup import back_up, restore
from gateway.feedback.consensus import Status
from gateway.feedback.extraction_files import write_run
from gateway.feedback.gold import EXACT_RULE, LIST, choose_from_catalogue, read_list
from gateway.feedback.labels import label_name, label_of, question_name
from gateway.feedback.settings import StoreSettings
from gateway.feedback.store.contributors import ModelVersion
from gateway.feedback.store.copies import NotRestored
from gateway.feedback.store.database import Database
from gateway.feedback.store.extraction import UnknownRun
from gateway.feedback.store.moving import NotMoved, move
from gateway.feedback.store.store import Store
from gateway.feedback.store.waiting import await_database
from gateway.serving.arguments import command_adder
from gateway.serving.checksums import NotWhole
from gateway.serving.errors import ServingError
from gateway.serving.settings import ModelStoreSettings


def main(parser: argparse.ArgumentParser) -> None:
    """Serve if nothing is asked for, else do what the arguments say."""
    _add_commands(parser)
    arguments = parser.parse_args()
    if arguments.command is None:
        app.main()
        return
    try:
        arguments.run(arguments)
    except (
        ServingError,
        NotMoved,
        NotRestored,
        NotWhole,
        UnknownRun,
        CalledProcessError,
        OSError,
        ValueError,
    ) as error:
        sys.exit(f"{type(error).__name__}: {error}")


def _add_commands(parser: argparse.ArgumentParser) -> None:
    add_command = command_adder(parser)

    extract = add_command("extract", "write the consensus of now for training: consensus.jsonl, manifest.json")
    extract.add_argument("--run-id", required=True, help="of this extraction; the same id gives the same files again")
    extract.add_argument("--folder", required=True, type=Path, help="to be made, with both files in it")
    extract.set_defaults(run=_extract)

    trained = add_command("trained", "note that a model version was trained on a run's consensus")
    trained.add_argument("--run-id", required=True, help="of the extraction")
    trained.add_argument("--model", required=True, help="its name in the store")
    trained.add_argument("--version", required=True, type=int, help="its number in the store")
    trained.set_defaults(run=_trained)

    gold = add_command("gold", "choose objects whose answer is known (gateway/feedback/gold.py)")
    source = gold.add_mutually_exclusive_group(required=True)
    source.add_argument("--catalogue", type=Path, help="CSV of orbits, judged by the exact rule")
    source.add_argument("--list", type=Path, help="CSV of designations and labels")
    gold.add_argument("--per-class", type=int, default=50, help="objects of a catalogue for each answer")
    gold.add_argument("--seed", type=int, default=1, help="of the choice: the same seed gives the same objects")
    gold.set_defaults(run=_gold)

    queue = add_command("queue", "list what experts are to look at")
    queue.set_defaults(run=_queue)

    decide = add_command("decide", "record an expert's verdict, which goes before consensus")
    decide.add_argument("designation", help="of the object, as it was voted on")
    decide.add_argument("label", type=label_of, help="DATA_ERROR, INTERESTING, ...")
    decide.set_defaults(run=_decide)

    backup = add_command("backup", "copy the store and the models to a folder to be made")
    backup.add_argument("folder", type=Path, help="to be made")
    backup.set_defaults(run=_backup)

    restore = add_command("restore", "put a backup in place of nothing, or with --force of what is there")
    restore.add_argument("folder", type=Path, help="what backup made")
    restore.add_argument("--force", action="store_true", help="replace what is there")
    restore.set_defaults(run=_restore)

    move = add_command("move", "copy the embedded store to the empty PostgreSQL of ORRERY_FEEDBACK_DATABASE_URL")
    move.set_defaults(run=_move)

    migrate = add_command("migrate", "make the tables, or bring older ones up to date")
    migrate.set_defaults(run=_migrate)


def _extract(arguments: argparse.Namespace) -> None:
    with _opened() as store:
        run = store.extract(arguments.run_id)
    manifest = write_run(run, arguments.folder)
    since = "for the first time" if run.previous_run_id is None else f"changed since {run.previous_run_id}"
    print(f"{manifest['rows']} rows, {manifest['changed_rows']} {since}: {arguments.folder}")


def _trained(arguments: argparse.Namespace) -> None:
    with _opened() as store:
        store.record_training(arguments.run_id, ModelVersion(arguments.model, arguments.version))


def _gold(arguments: argparse.Namespace) -> None:
    if arguments.list is not None:
        source, objects = LIST, read_list(arguments.list)
    else:
        source = EXACT_RULE
        objects = choose_from_catalogue(arguments.catalogue, arguments.per_class, arguments.seed)
    with _opened() as store:
        counts = store.replace_gold(source, objects)
    print("gold objects: " + ", ".join(f"{label_name(label)} {count}" for label, count in counts.items()))


def _queue(_: argparse.Namespace) -> None:
    with _opened() as store:
        waiting = [
            (designation, question_name(question), consensus)
            for (designation, question), consensus, _ in store.consensus()
            if consensus.status is Status.EXPERT_QUEUE
        ]
    for designation, question, consensus in sorted(waiting, key=lambda one: one[:2]):
        shares = ", ".join(f"{label_name(label)} {share:.2f}" for label, share in sorted(consensus.shares.items()))
        print(f"{designation}\t{question}\t{shares}")


def _decide(arguments: argparse.Namespace) -> None:
    with _opened() as store:
        store.decide(arguments.designation, arguments.label)


def _backup(arguments: argparse.Namespace) -> None:
    with _opened() as store:
        manifest = back_up(store.database, ModelStoreSettings().model_store, arguments.folder)
    print(f"{manifest['rows']['votes']} votes, {len(manifest['model_versions'])} model versions: {arguments.folder}")


def _restore(arguments: argparse.Namespace) -> None:
    settings = StoreSettings()
    with Store(settings) as store:
        await_database(store.database, settings.database_wait_s)
        said = restore(store.database, ModelStoreSettings().model_store, arguments.folder, force=arguments.force)
        store.open()
    print(
        f"{said['rows']['votes']} votes, {len(said['model_versions'])} model versions of {said['created_utc']};"
        f" {said['erased_again']} contributors erased again"
    )


def _move(_: argparse.Namespace) -> None:
    settings = StoreSettings()
    embedded = settings.model_copy(update={"database_url": None, "database_url_file": None})
    with contextlib.closing(Database(embedded)) as source, contextlib.closing(Database(settings)) as target:
        await_database(target, settings.database_wait_s)
        counts = move(source, target)
    print(", ".join(f"{table} {count}" for table, count in counts.items() if count))


def _migrate(_: argparse.Namespace) -> None:
    settings = StoreSettings(migrate=True)
    with Store(settings) as store:
        await_database(store.database, settings.database_wait_s)
        store.open()


def _opened() -> Store:
    settings = StoreSettings()
    store = Store(settings)
    try:
        await_database(store.database, settings.database_wait_s)
        store.open()
    except BaseException:
        store.close()
        raise
    return store
