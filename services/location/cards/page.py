"""Writes the documentation pages of a model: how to call it, its card, and the known facts. No I/O."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from common.details import Details
from services.location import calls
from services.location.cards.polish import Polished, polish
from services.location.definitions import definition
from services.location.openapi import PROTOCOLS
from services.location.servers import Server
from services.location.view import View

CALLING = "How to call it"
USE = "Use, ethics, support, training"
"""The titles of two pages."""
_MARKUP = re.compile(r"([\\`*_{}\[\]#|~^=])")
_MOST_BOXES = 20
_CONNECTION_TYPES = {"s3": "S3 bucket", "uri": "URI", "oci": "OCI registry"}


@dataclass(frozen=True, slots=True)
class CardContent:
    """The card on a page: its text, its address if known, and a note for readers."""

    card: str = ""
    base_url: str = ""
    note: str = ""


def single_page(views: Sequence[View], content: CardContent) -> str:
    """Return everything about a card's models on one page, for a reader that can show only one.

    `views` belong to the entries with this card; without a card, the page shows the facts of the first one.
    """
    polished = _card_or_facts(views, content)
    boxes = [call_box(view, named=len(views) > 1) for view in views[:_MOST_BOXES]]
    sections = {text: None for view in views for text in _sections(view)}
    return _page(polished.title, [*boxes, _note(content), polished.body, *sections])


def index_page(view: View, content: CardContent) -> str:
    """Return the first page of a model's documentation: how to call it, and its card or facts."""
    polished = _card_or_facts([view], content)
    return _page(polished.title, [call_box(view), _note(content), polished.body])


def calling_page(view: View, server: Server) -> str:
    """Return the page about calling a model: a table, a command, and the interface if it is a .proto file."""
    paragraphs = [_call_table(server), _commands(server)]
    if len(server.names) > 1:
        names = "\n".join(f"- {calls.in_code(name)}" for name in server.names)
        paragraphs += ["The server answers to each of these names:", names]
    if server.token:
        paragraphs.append("The command takes the token from the variable `TOKEN`.")
    api_type, text = definition(view, server)
    if api_type == "grpc":
        paragraphs += [f"Its interface, as `{calls.PROTO_FILE}`:", f"```protobuf\n{text.strip()}\n```"]
    return _page(CALLING, paragraphs)


def use_page(view: View) -> str:
    """Return the page about use, ethics, support and training; empty if the owner wrote nothing about them."""
    sections = _sections(view)
    return _page(USE, sections) if sections else ""


def versions_page(view: View, others: Iterable[View]) -> str:
    """Return the page that lists the served versions of a model, including this one."""
    rows = [(other.details.version or other.name, _state(other), other.key == view.key) for other in others]
    lines = [f"| {plain(name)}{' (this page)' if own else ''} | {state} |" for name, state, own in rows]
    return _page("Versions", ["\n".join(["| Version | |", "| --- | --- |", *lines])])


def call_box(view: View, *, named: bool = False) -> str:
    """Return a box that says how to call a model; `named`: its heading contains the model's title."""
    title = f"{CALLING}: {_line(view.version_title)}" if named else CALLING
    if view.server is None:
        return _box("note", "Not deployed", f"{plain(view.title)} has no known server.") if not named else ""
    return _box("info", title, "\n\n".join(filter(None, (_call_table(view.server), _commands(view.server)))))


def plain(text: str) -> str:
    """Return a text in one line, escaped so that Markdown shows it unchanged."""
    return _MARKUP.sub(r"\\\1", " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;"))


def _page(title: str, paragraphs: Iterable[str]) -> str:
    return "\n\n".join((f"# {title}", *filter(None, paragraphs))) + "\n"


def _note(content: CardContent) -> str:
    return _box("warning", "Documentation elsewhere", content.note) if content.note else ""


def _card_or_facts(views: Sequence[View], content: CardContent) -> Polished:
    """Return the polished card with a title, or the facts about the first model."""
    polished = polish(content.card, base_url=content.base_url) if content.card.strip() else None
    if polished is None:
        return Polished(plain(views[0].version_title), _facts(views[0]))
    return Polished(polished.title or (plain(views[0].title) if views else "Model card"), polished.body)


def _facts(view: View) -> str:
    details = view.details
    place = "/".join(filter(None, (details.cluster, details.namespace, details.deployment)))
    rows = {
        "Owner": view.owner,
        "System": view.system,
        "Lifecycle": view.lifecycle,
        "Provider": details.provider,
        "Author": details.author,
        "Version": details.version,
        "Tasks": ", ".join(details.tasks),
        "License": details.license,
        "Registry": " / ".join(filter(None, (details.registry, details.model, details.version))),
        "Deployment": place,
        "Files": view.files,
        "Connection": _connection(details),
    }
    table = [f"| {name} | {plain(text)} |" for name, text in rows.items() if text]
    links = [f"- [{plain(link.title)}]({link.url})" for link in view.links]
    parts = [_prose(view.about), "\n".join(["| | |", "| --- | --- |", *table]) if table else "", "\n".join(links)]
    return "\n\n".join(filter(None, parts))


def _connection(details: Details) -> str:
    """Return the connection by its title or name, with its type if that is known."""
    kind = _CONNECTION_TYPES.get(details.connection_type, "")
    return " ".join(filter(None, (details.connection_title or details.connection, kind and f"({kind})")))


def _sections(view: View) -> list[str]:
    written = {"Use": view.usage, "Ethics": view.ethics, "Support": view.support, "Training": view.training}
    return [f"## {title}\n\n{_prose(text)}" for title, text in written.items() if text.strip()]


def _prose(text: str) -> str:
    polished = polish(text)
    return "\n\n".join(filter(None, (polished.title and f"**{polished.title}**", polished.body)))


def _call_table(server: Server) -> str:
    others = {"Inside the cluster": server.internal_url, "From outside": server.external_url}
    rows = {
        "Base URL": calls.in_code(server.base_url),
        **{name: calls.in_code(url) for name, url in others.items() if url and url != server.base_url},
        "Model": calls.in_code(server.names[0]),
        "Token": "a bearer token is needed" if server.token else "not needed",
        "Protocol": PROTOCOLS.get(server.server_type, "unknown").rstrip("."),
    }
    return "\n".join(["| | |", "| --- | --- |", *(f"| {name} | {_in_cell(text)} |" for name, text in rows.items())])


def _in_cell(text: str) -> str:
    return text.replace("|", "&#124;")


def _commands(server: Server) -> str:
    commands = calls.commands(server)
    return f"```bash\n{commands}\n```" if commands else ""


def _box(kind: str, title: str, text: str) -> str:
    indented = "\n".join(f"    {line}" if line.strip() else "" for line in text.split("\n"))
    return f'!!! {kind} "{title}"\n\n{indented}'


def _line(text: str) -> str:
    return " ".join(text.replace('"', "'").split())


def _state(view: View) -> str:
    return f"called at {calls.in_code(view.server.base_url)}" if view.server else "not deployed"
