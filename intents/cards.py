"""A model's card as tables for people. Cards are JSON of any depth; nothing is left out."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple


class Table(NamedTuple):
    """Rows of text; the first cell of a row says what it is about."""

    title: str
    columns: list[str]
    rows: list[list[str]]


class Figures(NamedTuple):
    """How good the training measured the model to be; None where its card does not say."""

    average_precision: float | None
    automatic_precision: float | None
    calibration_error: float | None
    examples: float | None


def figures(card: Any) -> Figures:
    """The figures by which models are told apart in a list."""
    return Figures(
        average_precision=number(card, "metrics", "average_precision"),
        automatic_precision=number(card, "metrics", "automatic", "precision"),
        calibration_error=number(card, "metrics", "calibration", "expected_error"),
        examples=number(card, "metrics", "examples"),
    )


def tables(card: Mapping[str, Any]) -> list[Table]:
    """The card's parts: what stands at its top first, then a table for each part."""
    return list(_tables("Model", card, is_top=True))


def number(card: Any, *path: str) -> float | None:
    """A number of the card, or None where this card has none there."""
    for key in path:
        card = card.get(key) if isinstance(card, dict) else None
    return card if isinstance(card, int | float) else None


def _tables(title: str, part: Mapping[str, Any], *, is_top: bool = False) -> Iterator[Table]:
    plain = {key: value for key, value in part.items() if not _has_parts(value)}
    if plain:
        yield Table(title, [], [[_words(key), _text(value)] for key, value in plain.items()])
    for key, value in part.items():
        below = _words(key) if is_top else f"{title}: {_words(key)}"
        if not _has_parts(value):
            continue
        if isinstance(value, list):
            yield _of_list(below, value)
        elif all(isinstance(row, dict) and not _is_deep(row) for row in value.values()):
            yield _grid(below, [_words(name) for name in value], list(value.values()))
        else:
            yield from _tables(below, value)


def _of_list(title: str, rows: list[Any]) -> Table:
    if all(isinstance(row, dict) for row in rows):
        return _grid(title, [str(place) for place in range(1, len(rows) + 1)], rows)
    cells = [row if isinstance(row, list) else [row] for row in rows]
    return Table(title, [], [[_text(cell) for cell in row] for row in cells])


def _grid(title: str, names: list[str], rows: list[dict[str, Any]]) -> Table:
    keys = list(dict.fromkeys(key for row in rows for key in row))
    cells = [
        [name, *(_text(row.get(key)) for key in keys)]
        for name, row in zip(names, rows, strict=True)
    ]
    return Table(title, ["", *map(_words, keys)], cells)


def _has_parts(value: Any) -> bool:
    """Whether it needs a table of its own."""
    if isinstance(value, list):
        return any(isinstance(entry, dict | list) for entry in value)
    return isinstance(value, dict) and bool(value)


def _is_deep(row: dict[str, Any]) -> bool:
    return any(_has_parts(value) for value in row.values())


def _words(key: str) -> str:
    words = str(key).replace("_", " ")
    return words[:1].upper() + words[1:]


def _text(value: Any) -> str:
    match value:
        case None | [] | {}:
            return "–"
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:.4g}"
        case list():
            return ", ".join(map(_text, value))
        case dict():
            return ", ".join(f"{_words(key)} {_text(entry)}" for key, entry in value.items())
    return str(value)
