"""A card of any depth is shown whole, as tables."""

from intents.cards import Table, number, tables


def test_plain_values_stand_in_one_table_and_parts_in_their_own():
    card = {"version": "v1", "data": {"examples": 1795, "files": ["a.csv", "b.csv"]}}
    assert tables(card) == [
        Table("Model", [], [["Version", "v1"]]),
        Table("Data", [], [["Examples", "1,795"], ["Files", "a.csv, b.csv"]]),
    ]


def test_parts_of_one_kind_are_rows_of_one_table():
    classes = {"praise": {"precision": 0.5, "f1": None}, "spam": {"precision": 1.0, "held": True}}
    assert tables({"classes": classes}) == [
        Table(
            "Classes",
            ["", "Precision", "F1", "Held"],
            [["Praise", "0.5", "–", "–"], ["Spam", "1", "–", "yes"]],
        )
    ]


def test_lists_of_parts_are_rows():
    card = {"bins": [{"from": 0, "share": 0.125}], "rows": [[1, 2], [3, 4]]}
    assert tables(card) == [
        Table("Bins", ["", "From", "Share"], [["1", "0", "0.125"]]),
        Table("Rows", [], [["1", "2"], ["3", "4"]]),
    ]


def test_what_is_deep_keeps_its_place_in_the_title():
    card = {"metrics": {"accuracy": 0.7, "calibration": {"error": 0.03}}}
    assert [table.title for table in tables(card)] == ["Metrics", "Metrics: Calibration"]


def test_a_number_is_found_by_its_path():
    card = {"metrics": {"automatic": {"precision": 0.9}, "note": "x"}}
    assert number(card, "metrics", "automatic", "precision") == 0.9
    assert number(card, "metrics", "note") is None
    assert number(card, "metrics", "calibration", "error") is None
