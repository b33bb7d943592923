# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line: `python -m export COMMAND`; `--help` lists the commands."""

import argparse
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from export import paths, studies
from export.data import catalogue, sources
from export.data.write_dataset import DATASET_SEED
from export.display import Console, Table, show_published, showing_progress
from export.errors import ExportError
from export.publishing import history, infra_check, publish
from export.retraining import command as retraining_command
from export.retraining import consensus, ledger
from export.rollout import config as configs
from export.rollout.store import CHALLENGERS

MODEL_NAMES: Final = ("neo_classifier", "neo_anomaly")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m export", description="Offline: catalogues and models.")
    commands = parser.add_subparsers(dest="command", required=True)
    reading = argparse.ArgumentParser(add_help=False)
    reading.add_argument("--catalogue", type=Path, help="read this file instead of looking for a catalogue")
    reading.add_argument("--cache", type=Path, default=paths.catalogue_cache(), help="folder of cached catalogues")
    reading.add_argument("--refresh", action="store_true", help="look past the cache")
    reading.add_argument("--offline", action="store_true", help="ask no service on the net")
    training = argparse.ArgumentParser(add_help=False)
    training.add_argument("--store", type=Path, default=paths.model_store(), help="folder of published models")
    training.add_argument("--if-absent", action="store_true", help="do nothing where both models are already there")
    training.add_argument("--seed", type=int, help="of training and forest; each has its own fixed one if not given")
    training.add_argument("--autoencoder", action="store_true", help="also publish the autoencoder, for comparison")
    retraining = argparse.ArgumentParser(add_help=False)
    retraining.add_argument("--store", type=Path, default=paths.model_store(), help="folder of published models")
    retraining.add_argument("--consensus", type=Path, help="what `gateway feedback extract` wrote; none if not given")
    retraining.add_argument("--record-training", action="store_true", help="tell the feedback store what was trained")
    retraining.add_argument("--schedule", choices=("quick", "full"), default="full", help="how much to train")
    drifting = argparse.ArgumentParser(add_help=False)
    drifting.add_argument("--store", type=Path, default=paths.model_store(), help="folder of published models")
    drifting.add_argument("--folder", type=Path, default=paths.drift(), help="where page and figures are to lie")
    drifting.add_argument("--metrics", action="append", default=[], help="a pod's metrics page; may be repeated")
    verifying = argparse.ArgumentParser(add_help=False)
    verifying.add_argument("--store", type=Path, default=paths.model_store(), help="folder of published models")
    splitting = argparse.ArgumentParser(add_help=False)
    splitting.add_argument("--folder", type=Path, default=paths.dataset(), help="where the data set is to lie")
    splitting.add_argument("--split-seed", type=int, default=DATASET_SEED, help="of the split at random")
    studying = argparse.ArgumentParser(add_help=False)
    studying.add_argument("--documents", type=Path, default=studies.DOCUMENTS, help="where the pages are to lie")
    studying.add_argument("--oddities", type=Path, help="JSON list of known oddities by kind, to measure recall with")
    kernels = argparse.ArgumentParser(add_help=False)
    kernels.add_argument("--folder", type=Path, default=paths.kernels(), help="where the kernel is to lie")
    kernels.add_argument("--uv", help="the command that installs packages; the uv on the path if not given")
    kernels.add_argument("--if-absent", action="store_true", help="do nothing where it is already there")

    def command(name: str, run: Callable[[argparse.Namespace, Console], int], text: str, *parents: Any) -> None:
        commands.add_parser(name, parents=parents, help=text, description=text).set_defaults(run=run)

    command("catalogue", _catalogue, "find and clean a catalogue, and say what was left out", reading)
    command("quick", _train, "train and publish small but real models, in a minute or two", reading, training)
    command("train", _train, "train and publish the full models", reading, training)
    commands.add_parser(
        "retrain", parents=(reading, retraining), help=_retrain.__doc__, description=_retrain.__doc__
    ).set_defaults(run=_retrain)
    command(
        "drift-report", _drift_report, "figures and a page: what has changed since the models learnt", reading, drifting
    )
    for study, parent in (
        (studies.dataset, splitting),
        (studies.search, studying),
        (studies.variants, studying),
        (studies.select_forest, studying),
        (studies.anomaly_comparison, studying),
    ):
        name = study.__name__.replace("_", "-")
        command(name, partial(_study, study), (study.__doc__ or "").rstrip("."), reading, parent)
    command("verify", _verify, "check published versions, and say what is wrong with them", verifying)
    command("history", _history, "how far each metric moved from version to version", verifying)
    command("earth-table", _earth_table, "rewrite the gateway's table of Earth's orbit from DE440")
    command("asteroid-kernel", _asteroid_kernel, "make the 42 MB kernel of perturbing asteroids", kernels)
    command("serving-protocol", _serving_protocol, "rewrite the gateway's copy of TensorFlow Serving's protocol")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 0 unless it failed."""
    console = Console()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    options = _parser().parse_args(arguments)
    if threading.current_thread() is threading.main_thread():
        # Asked to end, end as after an error: what is staged goes, and the pods that serve candidates end.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    run: Callable[[argparse.Namespace, Console], int] = options.run
    try:
        return run(options, console)
    except (ExportError, OSError) as error:
        console.print(f"failed: {error}", style="red", markup=False)
        return 1
    except KeyboardInterrupt:
        console.print("interrupted; nothing half-written was published", style="red")
        return 130


def _load(options: argparse.Namespace, console: Console) -> catalogue.Catalogue:
    services = () if options.offline else sources.SERVICES
    found = catalogue.load(options.catalogue, options.cache, refresh=options.refresh, services=services)
    console.print(f"{found.provenance.kind}: {found.provenance.description}", markup=False, soft_wrap=True)
    return found


def _catalogue(options: argparse.Namespace, console: Console) -> int:
    found = _load(options, console)
    console.print(f"newest observation, or day of retrieval: {found.provenance.date}")
    console.print(f"sha256 of the source: {found.provenance.sha256}")
    if found.report is None:
        console.print(f"cleaned in an earlier run; --refresh looks again. Rows left out: {catalogue.DROPPED_FILE}")
        return 0
    table = Table("what", "rows")
    for reason, rows in found.report.reasons().items():
        table.add_row(f"left out: {reason}", str(rows))
    for remark, rows in found.report.remarks.items():
        table.add_row(f"kept, though: {remark}", str(rows))
    console.print(table)
    return 0


def _study(
    study: Callable[[catalogue.Catalogue, argparse.Namespace, Callable[[str, float], None]], str],
    options: argparse.Namespace,
    console: Console,
) -> int:
    found = _load(options, console)
    with showing_progress(console, "starting") as progress:
        outcome = study(found, options, progress)
    console.print(outcome, markup=False)
    return 0


def _train(options: argparse.Namespace, console: Console) -> int:
    present = {name: publish.versions(options.store, name) for name in MODEL_NAMES}
    if options.if_absent and all(present.values()):
        newest = ", ".join(f"{name} {numbers[-1]}" for name, numbers in present.items())
        console.print(f"models are already in {options.store}: {newest}; nothing to do", markup=False, soft_wrap=True)
        return 0
    started = time.monotonic()
    found = _load(options, console)
    with showing_progress(console, "importing tensorflow") as progress:
        # Tensorflow takes ten seconds that other commands need not wait.
        from export.classifier import job as network  # noqa: PLC0415 - said above
        from export.forest import job as forest  # noqa: PLC0415 - said above
        from export.publishing import gate  # noqa: PLC0415 - said above

        quick = options.command == "quick"
        network_scale, forest_scale = (network.QUICK, forest.QUICK) if quick else (network.FULL, forest.FULL)
        if options.seed is not None:
            network_scale = replace(network_scale, training=replace(network_scale.training, seed=options.seed))
            forest_scale = replace(forest_scale, forest=replace(forest_scale.forest, seed=options.seed))
        version = publish.new_version()
        with infra_check.anomaly_pod() as anomaly_pod, infra_check.model_server() as model_server:
            published = [
                forest.publish_anomaly(
                    found, forest_scale, options.store, version, progress,
                    gate=gate.anomaly_gate(version, found, anomaly_pod, progress),
                ),
                network.publish_classifier(
                    found, network_scale, options.store, version, progress,
                    gate=gate.classifier_gate(options.store, version, found, model_server, progress),
                ),
            ]  # fmt: skip
        if options.autoencoder:
            from export.autoencoder import autoencoder, saved_model  # noqa: PLC0415 - tensorflow is slow to load

            saved_model.publish_autoencoder(found, autoencoder.AutoencoderSettings(), options.store, version, progress)
        progress("verifying what was published", 1.0)
        for one in published:
            publish.verify(one.folder)
            history.write_history(options.store, one.manifest.name)
    show_published(published, console)
    console.print(f"took {time.monotonic() - started:.0f} s; `make serve` serves them")
    return 0


def _retrain(options: argparse.Namespace, console: Console) -> int:
    """Train challengers from what is new, and hold them against the champions; nothing is deployed."""
    with showing_progress(console, "looking for what is new") as progress:
        store: Path = options.store
        found = retraining_command.current_catalogue(
            options.catalogue, options.cache, store, offline=options.offline, progress=progress
        )
        agreed = consensus.read(options.consensus) if options.consensus else consensus.NOTHING
        serving = configs.serving(configs.of_store(store), MODEL_NAMES[0])
        run, worked = retraining_command.run(
            store, found, agreed, options.schedule, serving, progress, records=options.record_training
        )
    if not worked:
        console.print(f"nothing is new since run {run.run_id}; nothing to do", markup=False)
        return 0
    for name, result in run.results.items():
        outcome = f"refused: {result.refused}" if result.refused else f"passed its gates: {store / CHALLENGERS / name}"
        console.print(f"{name} {result.version} {outcome}", markup=False)
    console.print(f"report: {store / ledger.FOLDER / 'runs' / f'{run.run_id}.md'}", markup=False)
    return retraining_command.REFUSED_EXIT if any(result.refused for result in run.results.values()) else 0


def _drift_report(options: argparse.Namespace, console: Console) -> int:
    from export.drift import report as drift_report  # noqa: PLC0415 - matplotlib is slow to load

    found = _load(options, console)
    serving = configs.serving(configs.of_store(options.store), MODEL_NAMES[0])
    with showing_progress(console, "starting") as progress:
        path = drift_report.write(found, options.store, options.folder, options.metrics, serving, progress)
    console.print(f"wrote {path}", markup=False)
    return 0


def _verify(options: argparse.Namespace, console: Console) -> int:
    """Every version in the store; the exit status is 1 where one is not fit to be served."""
    from export.publishing import forest_checks, network_checks  # noqa: PLC0415 - tensorflow is slow to load

    checks = dict(zip(MODEL_NAMES, (network_checks.check_network, forest_checks.check_forest), strict=True))
    wrong = 0
    for name, check in checks.items():
        for version in publish.versions(options.store, name):
            try:
                check(options.store / name / str(version))
            except publish.RefusedError as error:
                wrong += 1
                console.print(f"{name} {version}: {error}", style="red", markup=False)
            else:
                console.print(f"{name} {version}: as published, fit to be served", markup=False)
    return 1 if wrong else 0


def _history(options: argparse.Namespace, console: Console) -> int:
    for name in MODEL_NAMES:
        if publish.versions(options.store, name):
            console.print(history.history(options.store, name), markup=False)
    return 0


def _earth_table(options: argparse.Namespace, console: Console) -> int:  # noqa: ARG001 - the commands' signature
    from export.tables import earth_table  # noqa: PLC0415 - the 120 MB kernel is needed by this command alone

    path = paths.PROJECT_ROOT / "gateway" / "neo" / "earth_de440.npz"
    earth_table.write_earth_table(path)
    console.print(f"wrote {path}, {path.stat().st_size} bytes", markup=False)
    return 0


def _asteroid_kernel(options: argparse.Namespace, console: Console) -> int:
    from export.tables import asteroid_kernel  # noqa: PLC0415 - jplephem and DE440 are needed by this command and one more

    present = options.folder / asteroid_kernel.FILE_NAME
    if options.if_absent and present.exists():
        console.print(f"{present} is already there; nothing to do", markup=False)
        return 0

    def say(text: str) -> None:
        console.print(text, markup=False)

    path = asteroid_kernel.make(options.folder, options.uv or asteroid_kernel.find_uv(), say)
    say(f"wrote {path}, {path.stat().st_size} bytes, and where it is from: {path.with_suffix('.json').name}")
    return 0


def _serving_protocol(options: argparse.Namespace, console: Console) -> int:  # noqa: ARG001 - the commands' signature
    # Tensorflow takes ten seconds and is needed by this command alone; the first module loads it quietly.
    from export import quiet_tensorflow  # noqa: F401, PLC0415 - said above
    from export.tables import serving_protocol  # noqa: PLC0415 - said above

    front = paths.PROJECT_ROOT / "gateway" / "front" / "tensorflow_serving.binpb"
    rollout = paths.PROJECT_ROOT / "export" / "rollout" / "model_management.binpb"
    writers = {front: serving_protocol.write_prediction_protocol, rollout: serving_protocol.write_management_protocol}
    for path, write in writers.items():
        console.print(f"wrote {path}, {write(path)} bytes", markup=False)
    return 0
