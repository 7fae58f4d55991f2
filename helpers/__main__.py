"""The command line: ``what-happens-to-bert --help``, or ``python -m helpers --help``."""

import argparse
import ast
import os
import re
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers import profiles, store
from helpers.corpora.fetch import FetchError
from helpers.validation import described, merged, nested
from helpers.vocabulary import ANALYSES

if TYPE_CHECKING:
    from helpers.analyses import AnalysesFailed

DISTRIBUTION = "what-happens-to-bert"


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status.

    0: done; 1: something failed; 2: a mistake that the user can mend, in one line on stderr; 130: stopped by
    Ctrl-C.
    """
    options = _parser().parse_args(arguments)
    if os.environ.get("FINETUNING_BOOK_HOME"):  # notebooks run in another working folder
        os.environ["FINETUNING_BOOK_HOME"] = str(store.home())
    try:
        return options.run(options) or 0
    except (ValueError, OSError, FetchError) as error:
        print(f"helpers: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("helpers: stopped; the same command goes on from here", file=sys.stderr)
        return 130


# -- arguments -----------------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    """A parser whose help ends with lines that are only made when they are asked for."""

    def __init__(self, *rest: Any, choices: Callable[[], list[str]] = list, **options: Any):
        super().__init__(*rest, **options)
        self.choices = choices

    def format_help(self) -> str:
        return "\n".join([super().format_help(), *self.choices()]).rstrip() + "\n"


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *rest: Any) -> None:
        print(DISTRIBUTION, version(DISTRIBUTION))
        parser.exit()


def _parser() -> argparse.ArgumentParser:
    called = Path(sys.argv[0])
    prog = {DISTRIBUTION: DISTRIBUTION, "__main__.py": f"python -m {called.parent.name}"}.get(called.name)
    parser = _Parser(prog=prog, description="An executable book on BERT's representations.", choices=_choices)
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    commands = parser.add_subparsers(required=True, metavar="command")

    book = commands.add_parser("book", help="run every notebook and build the book", choices=_choices)
    _settings_options(book)
    book.add_argument(
        "--only", action="append", default=[], metavar="TEXT",
        help="run the notebooks whose name contains this, no pages; may be repeated",
    )  # fmt: skip
    book.set_defaults(run=_book)

    pdf = commands.add_parser("pdf", help="print the built book into one PDF; needs Chromium or Chrome")
    pdf.add_argument(
        "--out", type=Path, metavar="FILE", help="default: what-happens-to-bert.pdf beside the pages' folder"
    )
    pdf.set_defaults(run=_pdf)

    run = commands.add_parser("run", help="run the analyses without notebooks, resumably", choices=_choices)
    _settings_options(run)
    run.add_argument(
        "--only", action="append", default=[], metavar="ANALYSIS", help="this one alone; may be repeated"
    )
    run.add_argument(
        "--record", nargs="?", const=True, metavar="RUN", type=_run_name,
        help="also copy the results into book/recorded/RUN; default: the profile's name",
    )  # fmt: skip
    run.add_argument(
        "--executor",
        metavar="WHERE",
        help="compute independent points first, on processes=4, local=4 (submitit) or slurm=20",
    )
    run.add_argument("--set-executor", **_assignments("an option of it, such as partition=gpu"))
    run.set_defaults(run=_run)

    report = commands.add_parser(
        "report", help="check an encoder and write its report, one HTML page", choices=_choices
    )
    report.add_argument("--encoder", help="a name, a Hub id or a local folder; default: the profile's")
    report.add_argument(
        "--tuned", metavar="ENCODER", help="one that was fine-tuned from it, to compare with it; then "
        "only what --only names is tuned",
    )  # fmt: skip
    _settings_options(report)
    report.add_argument(
        "--only", action="append", default=[], metavar="ANALYSIS",
        help="compute this one alone if it is missing; may be repeated",
    )  # fmt: skip
    report.add_argument("--out", type=Path, metavar="FILE", help="default: report.html beside the tables")
    report.set_defaults(run=_report)

    handout = commands.add_parser("handout", help="write the notebooks without solutions, for a class")
    handout.add_argument("--out", type=Path, required=True, help="folder for them")
    handout.add_argument(
        "--only", action="append", default=[], metavar="TEXT",
        help="the notebooks whose name contains this; may be repeated",
    )  # fmt: skip
    handout.set_defaults(run=_handout)

    data = commands.add_parser("data", help="list, fetch and verify the corpora")
    data.add_argument("action", nargs="?", choices=("list", "fetch", "verify"), default="list")
    data.add_argument("names", nargs="*", metavar="corpus", help="default: those of the quick profile")
    data.set_defaults(run=_data)

    pretrain = commands.add_parser(
        "pretrain", help="pre-train a BERT from raw text, resumably", choices=_recipe
    )
    pretrain.add_argument(
        "corpus", help="folder of .txt or .txt.xz files, one paragraph per line, or a Hub data set"
    )
    pretrain.add_argument("--out", type=Path, required=True, help="folder for checkpoint, log and model")
    pretrain.add_argument("--heldout", default="heldout*", help="which of the files to hold out (pattern)")
    pretrain.add_argument("--device", default="auto", help="auto, cpu or cuda")
    pretrain.add_argument("--set", **_assignments("a setting of the recipe, such as seed=1 or tokens=5e7"))
    pretrain.set_defaults(run=_pretrain)
    return parser


def _run_name(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", text):
        raise argparse.ArgumentTypeError(f"{text!r}: a run's name has small letters, digits, - and _")
    return text


def _assignments(what: str) -> dict[str, Any]:
    return dict(action="append", default=[], metavar="NAME=VALUE", help=f"{what}; may be repeated")


def _settings_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--profile", help=f"one of {', '.join(profiles.PROFILES)}; default: quick")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings in a TOML file")
    parser.add_argument(
        "--set", **_assignments("a setting, such as n_tokens=1000 or tasks.Dep.recipe.epochs=2")
    )
    parser.add_argument("--data", **_assignments("a local folder for a corpus: ud-ewt=FOLDER"))


def _choices() -> list[str]:
    """Lines on the profiles, the analyses and the settings, with costs and defaults."""
    lines = ["profiles, and what they cost on two cores:"]
    lines += [f"  {name:<18} {profiles.COSTS[name]}" for name in profiles.PROFILES]
    lines += ["", "analyses:"]
    lines += [f"  {name:<18} {what}" for name, what in ANALYSES.items()]
    lines += ["", "settings, and what they are in the profile quick:"]
    tasks: dict[str, tuple[str, list[str]]] = {}
    for name, value, about in described(profiles.PROFILES["quick"]):
        kind, _, rest = name.partition(".")
        if kind in ("tasks", "sweep"):  # which have the same settings for each model
            model, _, setting = rest.partition(".")
            tasks.setdefault(f"{kind}.MODEL.{setting}", (about, []))[1].append(value)
        else:
            lines.append(f"  {name} = {value}  ({about})")
    for name, (about, values) in tasks.items():
        if name.startswith("tasks."):
            lines.append(f"  {name} = {', '.join(values)}  ({about})")
    models = ", ".join(task.model for task in profiles.PROFILES["quick"].tasks)
    lines.append(f"  MODEL is {models}; sweep.MODEL has the same settings, for the layer ablations")
    return lines


def _recipe() -> list[str]:
    """Lines on the settings of pre-training, with their defaults."""
    from helpers.pretraining.recipe import Recipe

    return ["settings:", *(f"  {name} = {value}  ({about})" for name, value, about in described(Recipe()))]


def _pairs(texts: list[str]) -> dict[str, str]:
    pairs = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"expected NAME=VALUE, got {text!r}")
        pairs[name.strip()] = value.strip()
    return pairs


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text  # a plain word


def _settings(options: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """The profile's name and the changes to it: of the file, of ``--set`` where given, of ``--data``."""
    changes = profiles.from_file(options.config) if options.config else {}
    profile = options.profile or changes.pop("profile", "quick")
    changes.pop("profile", None)
    changes = merged(changes, nested(_pairs(options.set)))
    return profile, merged(changes, {"paths": _pairs(options.data)} if options.data else {})


# -- commands ------------------------------------------------------------------------------------------


def _book(options: argparse.Namespace) -> int:
    from helpers import book

    profile, changes = _settings(options)
    return book.build(profile, only=options.only, overrides=changes)


def _pdf(options: argparse.Namespace) -> None:
    from helpers import book, pdf

    output = store.home() / "_build"
    out = options.out or output / f"{DISTRIBUTION}.pdf"
    print(pdf.write(book.source_root(), output / "html", out.expanduser().absolute()))


def _run(options: argparse.Namespace) -> int:
    from helpers import analyses, executors, results
    from helpers.analyses import inputs

    own = {name: _literal(value) for name, value in _pairs(options.set_executor).items()}
    if own and not options.executor:
        raise ValueError("--set-executor needs --executor")
    workers = executors.workers(options.executor, own) if options.executor else None
    profile, changes = _settings(options)
    settings = profiles.settings(profile, **changes)
    if options.record and not results.RECORDED.is_dir():
        raise ValueError(f"--record needs a clone of the repository: there is no {results.RECORDED}")
    inputs.check(settings, options.only)
    inputs.fetch(settings, options.only)
    try:
        record = settings.name if options.record is True else options.record or ""
        analyses.run_all(settings, only=options.only, record=record, workers=workers)
    except analyses.AnalysesFailed as error:
        return _failed(error)
    return 0


def _failed(error: "AnalysesFailed") -> int:
    """Exit status of a run of which some analyses failed; what there is to trace has been shown."""
    print(f"helpers: {error}", file=sys.stderr)
    return 2 if error.mendable else 1


def _report(options: argparse.Namespace) -> int:
    from helpers import report
    from helpers.analyses import inputs

    profile, changes = _settings(options)
    if options.encoder:
        changes = merged(changes, {"encoder": options.encoder})
    settings = profiles.settings(profile, **changes)
    inputs.fetch(settings, report.check(settings, only=options.only, tuned=options.tuned))
    page, failure = report.write(settings, options.out, only=options.only, tuned=options.tuned)
    print(page)
    return _failed(failure) if failure else 0


def _handout(options: argparse.Namespace) -> None:
    from helpers import book, handout

    root = book.source_root()
    sources = [root / name for name in book.named(root, options.only)]
    for path in handout.write(options.out.expanduser().absolute(), sources):
        print(path)


def _data(options: argparse.Namespace) -> int:
    from helpers import corpora

    if options.action == "fetch":
        quick = profiles.settings("quick")
        corpora.download(options.names or sorted({t.corpus for t in quick.tasks} | {quick.text}))
    elif options.action == "verify":
        rows = corpora.verify(options.names or None)
        for row in rows:
            print(f"{row['name']:<14} {_state(row['ok'], 'good', 'DAMAGED', '-'):<8} {row['detail']}")
        return int(any(row["ok"] is False for row in rows))
    for row in corpora.describe(options.names or None):
        size = f"{row['bytes'] / 1e6:.1f} MB" if row["bytes"] else "size not known"
        print(f"{row['name']:<14} {row['what']}")
        print(
            f"{'':<14} {row['licence']}; {_state(row['present'], 'fetched', 'not fetched', 'not kept here')}"
        )
        print(f"{'':<14} from {row['source']}, {size}; splits {', '.join(row['splits'])}")
        for file in row["files"]:
            print(f"{'':<14} {file.name}  SHA-256 {file.sha256}")
        if row["note"]:
            print(f"{'':<14} {row['note']}")
    return 0


def _state(value: bool | None, yes: str, no: str, neither: str) -> str:
    return neither if value is None else yes if value else no


def _pretrain(options: argparse.Namespace) -> None:
    from helpers.pretraining import training

    settings: dict[str, Any] = dict(_pairs(options.set))
    if "vocabulary" in settings:  # a number of wordpieces, or the folder of a tokenizer
        try:
            settings["vocabulary"] = float(settings["vocabulary"])
        except ValueError:
            settings["vocabulary"] = Path(settings["vocabulary"]).expanduser().absolute()
    out = options.out.expanduser().absolute()
    training.run(options.corpus, out, settings, heldout=options.heldout, device=options.device)


if __name__ == "__main__":
    sys.exit(main())
