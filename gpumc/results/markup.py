"""HTML: text is escaped wherever it goes, and a page refuses everything that is not in it."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from typing import Any, NamedTuple

#: Rows of a table, before the rest is left to the file.
MOST_ROWS = 500


class Markup(str):
    """Text that is HTML already."""


class Column(NamedTuple):
    """The heading of a column: a name, and what is said under it."""

    name: str
    below: str = ""


def element(name: str, *content: str, **attributes: str) -> Markup:
    """``<name attributes>content</name>``; what is not `Markup` is escaped. ``class_`` is the attribute class."""
    given = "".join(f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"' for key, value in attributes.items())
    return Markup(f"<{name}{given}>{joined(content)}</{name}>")


def joined(parts: Iterable[str]) -> Markup:
    """All parts one after the other; what is not `Markup` is escaped."""
    return Markup("".join(part if isinstance(part, Markup) else escape(part) for part in parts))


def table(
    caption: str, columns: Sequence[Column], rows: Sequence[Sequence[str]], headings: int = 1, kind: str = "numbers"
) -> Markup:
    """A table of "numbers" or "text", of which the first ``headings`` cells of a row name it; the caption says where rows are left out."""
    head = [element("th", c.name, *([element("small", c.below)] if c.below else []), scope="col") for c in columns]
    body = [
        element(
            "tr", *(element("th", c, scope="row") for c in row[:headings]), *(element("td", c) for c in row[headings:])
        )
        for row in rows[:MOST_ROWS]
    ]
    more = f" The first {MOST_ROWS} of {len(rows)} rows: the file has all." if len(rows) > MOST_ROWS else ""
    parts = element("caption", caption + more), element("thead", element("tr", *head)), element("tbody", *body)
    return _scrolled(element("table", *parts, class_=kind), caption)


def facts(caption: str, rows: Iterable[tuple[str, str]]) -> Markup:
    """A table of two columns of text: names and what they are."""
    body = [element("tr", element("th", name, scope="row"), element("td", value)) for name, value in rows]
    return _scrolled(element("table", element("caption", caption), element("tbody", *body), class_="text"), caption)


def _scrolled(content: Markup, label: str) -> Markup:
    """A region of its own, which a keyboard can scroll."""
    return element("div", content, class_="scroll", role="region", tabindex="0", aria_label=label)


def page(title: str, body: Iterable[str], pictures: Sequence[Any]) -> str:
    """A whole page. Its policy allows its own script and style by their digests, and nothing else: no network, no frames, no forms."""
    style, script = (_source(name) for name in ("page.css", "page.js"))
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    head = [
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
        Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Markup('<meta name="color-scheme" content="light dark">'),
        element("title", title),
        element("style", Markup(style)),
    ]
    # In a script nothing is unescaped: no letter of the numbers may end it, or begin a comment.
    numbers = json.dumps(pictures, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    numbers = numbers.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    scripts = (
        element("script", Markup(numbers), type="application/json", id="numbers"),
        element("script", Markup(script)),
    )
    content = element("head", Markup('<meta charset="utf-8">'), *head), element("body", *body, *scripts)
    return "<!DOCTYPE html>\n" + element("html", *content, lang="en") + "\n"


def _source(name: str) -> str:
    """A file beside this module."""
    return (files("gpumc.results") / name).read_text(encoding="utf-8").replace("\r\n", "\n")


def _digest(text: str) -> str:
    """As a policy of contents has it."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
