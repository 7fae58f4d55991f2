"""The command line: ``python -m helpers --help``."""

import argparse
import ast
import sys
from pathlib import Path

from helpers import profiles


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status. Errors that a user can mend are one line on stderr."""
    options = _parser().parse_args(arguments)
    try:
        return options.run(options) or 0
    except (ValueError, FileNotFoundError) as error:
        print(f"helpers: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m helpers", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")

    book = commands.add_parser("book", help="run every notebook and build the book")
    _settings_options(book)
    book.add_argument("--only", metavar="TEXT", help="run the notebooks whose name contains this, no pages")
    book.set_defaults(run=_book)

    run = commands.add_parser("run", help="run the analyses without notebooks, resumably")
    _settings_options(run)
    run.add_argument(
        "--only", action="append", default=[], metavar="ANALYSIS", help="this one alone; may be repeated"
    )
    run.add_argument("--record", action="store_true", help="also copy the results into book/recorded/")
    run.set_defaults(run=_run)

    data = commands.add_parser("data", help="list, fetch and verify the corpora")
    data.add_argument("action", nargs="?", choices=("list", "fetch", "verify"), default="list")
    data.add_argument("names", nargs="*", metavar="corpus", help="default: those of the quick profile")
    data.set_defaults(run=_data)

    pretrain = commands.add_parser("pretrain", help="pre-train a BERT from raw text, resumably")
    pretrain.add_argument(
        "corpus", help="folder of .txt or .txt.xz files, a paragraph a line, or a Hub data set"
    )
    pretrain.add_argument("--out", type=Path, required=True, help="folder for checkpoint, log and model")
    pretrain.add_argument("--heldout", default="heldout*", help="which of the files to hold out (pattern)")
    pretrain.add_argument("--device", default="auto", help="auto, cpu or cuda")
    pretrain.add_argument("--set", **_assignments("a setting of the recipe, such as seed=1 or tokens=5e7"))
    pretrain.set_defaults(run=_pretrain)
    return parser


def _assignments(what: str) -> dict:
    return dict(action="append", default=[], metavar="NAME=VALUE", help=f"{what}; may be repeated")


def _settings_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--profile", default="quick", help=f"one of {', '.join(profiles.PROFILES)}")
    parser.add_argument("--set", **_assignments("replace a setting of the profile, such as n_tokens=1000"))
    parser.add_argument("--data", **_assignments("use a local folder for a corpus: ud-ewt=FOLDER"))


def _pairs(texts: list[str]) -> dict[str, str]:
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"expected NAME=VALUE, got {text!r}")
        found[name.strip()] = value.strip()
    return found


def _literals(texts: list[str]) -> dict:
    found = {}
    for name, value in _pairs(texts).items():
        try:
            found[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            found[name] = value  # a plain word is a string
    return found


def _overrides(options) -> dict:
    overrides = _literals(options.set)
    if options.data:
        overrides["paths"] = {k: str(Path(v).expanduser().resolve()) for k, v in _pairs(options.data).items()}
    return overrides


def _book(options) -> int:
    from helpers import book

    return book.build(options.profile, only=options.only, overrides=_overrides(options))


def _run(options) -> int:
    from helpers import analyses

    settings = profiles.settings(options.profile, **_overrides(options))
    try:
        analyses.run_all(settings, only=options.only, record=options.record)
    except analyses.AnalysesFailed as error:  # the tracebacks are above
        print(f"helpers: {error}", file=sys.stderr)
        return 1
    return 0


def _data(options) -> int:
    from helpers import corpora
    from helpers.corpora import fetch

    if options.action == "fetch":
        quick = profiles.settings("quick")
        try:
            corpora.download(options.names or sorted({t.corpus for t in quick.tasks} | {quick.text}))
        except fetch.FetchError as error:
            raise ValueError(str(error)) from None
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
            print(f"{'':<14} {file['file']}  SHA-256 {file['sha256'] or 'recorded at the first download'}")
        if row["note"]:
            print(f"{'':<14} {row['note']}")
    return 0


def _state(value: bool | None, yes: str, no: str, neither: str) -> str:
    return neither if value is None else yes if value else no


def _pretrain(options) -> None:
    from helpers.pretraining import training

    settings = _literals(options.set)
    training.run(options.corpus, options.out, settings, heldout=options.heldout, device=options.device)


if __name__ == "__main__":
    sys.exit(main())
