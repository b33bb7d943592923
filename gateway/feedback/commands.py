# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m gateway feedback [COMMAND]`: the pod, or what an operator does with its store."""

import argparse
import sys
from pathlib import Path

from gateway.feedback import app
from gateway.feedback.extraction_files import write_run
from gateway.feedback.settings import StoreSettings
from gateway.feedback.store.contributors import ModelVersion
from gateway.feedback.store.extraction import ModelOfAnotherRun, UnknownRun
from gateway.feedback.store.store import Store
from gateway.serving.errors import ServingError


def main() -> None:
    """Serve if nothing is asked for, else do what the arguments say."""
    if len(sys.argv) == 1:
        app.main()
        return
    arguments = _parser().parse_args()
    try:
        arguments.run(arguments)
    except (ServingError, ModelOfAnotherRun, UnknownRun, OSError, ValueError) as error:
        sys.exit(f"{type(error).__name__}: {error}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m gateway feedback", description="Serve; or one of:")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    extract = commands.add_parser(
        "extract", help="write the consensus of now for training: consensus.jsonl, manifest.json"
    )
    extract.add_argument("--run-id", required=True, help="of this extraction; the same id gives the same files again")
    extract.add_argument("--folder", required=True, type=Path, help="to be made, with both files in it")
    extract.set_defaults(run=_extract)

    trained = commands.add_parser("trained", help="note that a model version was trained on a run's consensus")
    trained.add_argument("--run-id", required=True)
    trained.add_argument("--model", required=True)
    trained.add_argument("--version", required=True, type=int)
    trained.set_defaults(run=_trained)
    return parser


def _extract(arguments: argparse.Namespace) -> None:
    with _opened() as store:
        run = store.extract(arguments.run_id)
    manifest = write_run(run, arguments.folder)
    since = "for the first time" if run.previous_run_id is None else f"changed since {run.previous_run_id}"
    print(f"{manifest['rows']} rows, {manifest['changed_rows']} {since}: {arguments.folder}")


def _trained(arguments: argparse.Namespace) -> None:
    with _opened() as store:
        store.record_training(arguments.run_id, ModelVersion(arguments.model, arguments.version))


def _opened() -> Store:
    store = Store(StoreSettings())
    store.open()
    return store
