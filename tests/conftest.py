"""Fixtures shared by all tests."""

import contextlib
import functools
import os
import threading
from dataclasses import dataclass, field
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from helpers import pdf

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def real_data():
    """Function from a corpus folder's name to its path; skips where the real corpora are absent.

    They are looked for in the folder that the environment variable REAL_DATA names, or in
    ``shared/data`` beside the repository.
    """
    root = Path(os.environ.get("REAL_DATA") or REPOSITORY.parent / "shared" / "data")

    def find(name: str) -> Path:
        if not (root / name).exists():
            pytest.skip(f"real corpus {name!r} not found in {root} (set REAL_DATA to the folder that has it)")
        return root / name

    return find


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """An empty folder in which all of a test file's artifacts and results are kept."""
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("home")
        patch.setenv("FINETUNING_BOOK_HOME", str(home))
        yield home


# -- pages in a browser --------------------------------------------------------------------------


@dataclass
class Visit:
    """A page as a browser shows it: what it asked for, what went wrong, and the page itself."""

    page: Any
    complaints: list[str] = field(default_factory=list)  # errors and warnings of the console
    elsewhere: list[str] = field(default_factory=list)  # requests to other hosts
    bytes: dict[str, int] = field(default_factory=dict)  # of what was fetched, by path

    def violations(self) -> list[str]:
        """What axe finds serious or critical, with the rule that it breaks."""
        import axe_playwright_python

        self.page.evaluate((Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text("utf-8"))
        found = self.page.evaluate(
            """async () => (await axe.run(document, {resultTypes: ["violations"], rules:
                 {"label-content-name-mismatch": {enabled: true}}})).violations
               .filter(v => ["serious", "critical"].includes(v.impact))
               .flatMap(v => v.nodes.map(n => `${v.id}: ${n.html.slice(0, 200)}`))"""
        )
        return sorted(set(found))

    def overflow(self) -> int:
        """Pixels by which the page is wider than the screen."""
        root = "document.documentElement"
        return self.page.evaluate(f"{root}.scrollWidth - {root}.clientWidth")


@pytest.fixture(scope="session")
def visit():
    """Function from a folder of pages, a page's path, and a width and a colour scheme to a :class:`Visit`.

    Skips where neither Chromium nor Chrome is found.
    """
    playwright = pytest.importorskip("playwright.sync_api")
    try:
        binary = pdf.browser()
    except FileNotFoundError as error:
        pytest.skip(f"{error} (apt-get install chromium)")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=binary, args=["--no-sandbox", "--disable-gpu"])
        with contextlib.ExitStack() as open_things:
            open_things.callback(browser.close)
            servers: dict[Path, str] = {}

            def go(folder: Path, path: str, *, width: int = 1280, scheme: str = "light") -> Visit:
                if folder not in servers:
                    handler = functools.partial(Quiet, directory=str(folder))
                    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
                    open_things.callback(server.server_close)
                    open_things.callback(server.shutdown)
                    threading.Thread(target=server.serve_forever, daemon=True).start()
                    servers[folder] = f"http://127.0.0.1:{server.server_port}/"
                base = servers[folder]
                context = browser.new_context(viewport={"width": width, "height": 900})
                open_things.callback(context.close)
                stored = "; ".join(f"localStorage.setItem('{key}', '{scheme}')" for key in ("mode", "theme"))
                # Such a script runs in every frame; a sandboxed one has no storage.
                context.add_init_script(f"if (self === top) {{ {stored} }}")
                found = Visit(context.new_page())

                def requested(request: Any) -> None:
                    if not request.url.startswith((base, "data:", "blob:")):
                        found.elsewhere.append(request.url)

                def answered(response: Any) -> None:
                    if response.url.startswith(base) and response.ok:
                        name = urlsplit(response.url).path.lstrip("/")
                        found.bytes[name] = (folder / name).stat().st_size

                found.page.on("request", requested)
                found.page.on("response", answered)
                found.page.on("pageerror", lambda error: found.complaints.append(str(error)))
                found.page.on(
                    "console",
                    lambda said: said.type in ("error", "warning") and found.complaints.append(said.text),
                )
                found.page.goto(base + path, wait_until="networkidle")
                return found

            yield go


class Quiet(SimpleHTTPRequestHandler):
    """A server of files that does not report each request."""

    def log_message(self, *arguments: Any) -> None:
        pass
