"""Sales from a file: what is refused is named by line and field, and nothing is stored twice."""

from io import StringIO
from pathlib import Path
from unittest import mock

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError

from dmtrigger import conversions, links
from dmtrigger.management.commands import import_conversions
from dmtrigger.models import Conversion
from tests.factories import DirectMessageFactory

pytestmark = pytest.mark.django_db

HEADER = "token,order_id,value,currency,at"


@pytest.fixture
def token() -> str:
    return links.token_of(DirectMessageFactory().comment_id)


@pytest.fixture
def write(tmp_path):
    def make(*lines: str, header: str = HEADER) -> Path:
        file = tmp_path / "sales.csv"
        file.write_text("\n".join([header, *lines]) + "\n")
        return file

    return make


def run(file: Path) -> tuple[str, str]:
    """What the command says, and what it complains of."""
    out, problems = StringIO(), StringIO()
    call_command("import_conversions", str(file), stdout=out, stderr=problems)
    return out.getvalue().strip(), problems.getvalue().strip()


def row(token: str, order_id: str, value: str = "49.90", currency: str = "EUR") -> str:
    return f"{token},{order_id},{value},{currency},2026-01-31T10:30:00Z"


def test_sales_are_stored_and_counted(token, write):
    said, problems = run(write(row(token, "A-1"), row(token, "A-2", "12")))
    assert said == "2 sales: 2 stored, 0 known, 0 told otherwise before, 0 refused"
    assert problems == ""
    assert {str(sale.value) for sale in Conversion.objects.all()} == {"49.90", "12.00"}


def test_importing_again_stores_nothing_twice(token, write):
    file = write(row(token, "A-1"))
    run(file)
    assert run(file)[0] == "1 sales: 0 stored, 1 known, 0 told otherwise before, 0 refused"


def test_what_is_refused_is_named_by_line_and_field_and_the_rest_goes_on(token, write):
    file = write(
        row(token, "A-1"),
        row(token, "A-2", "much"),
        row("x", "A-3"),
        f'{token},A-4,1,EUR,"2026-01-31T10:30:00Z",extra',
        row(token, "A-1", "50"),
        row(token, "A-5", currency="Euro"),
        f"{token},A-6",
        row(token, "A-7"),
    )
    said, problems = run(file)
    assert said == "8 sales: 2 stored, 0 known, 1 told otherwise before, 5 refused"
    lines = [line.removeprefix(f"{file}:") for line in problems.splitlines()]
    assert [line.split(" ")[:2] for line in lines] == [
        ["3:", "value"],
        ["4:", "token"],
        ["5:", "line"],
        ["6:", "value"],
        ["7:", "currency"],
        ["8:", "value"],
    ]


def test_columns_may_come_in_any_order_and_with_others(token, write):
    file = write(
        f"EUR,x,A-1,2026-01-31T10:30:00Z,{token},1", header="currency,n,order_id,at,token,value"
    )
    assert run(file)[0].startswith("1 sales: 1 stored")


def test_lines_are_counted_over_chunks(token, write, monkeypatch):
    monkeypatch.setattr(import_conversions, "CHUNK", 2)
    file = write(*[row(token, f"A-{n}") for n in range(5)], row("x", "A-9"))
    said, problems = run(file)
    assert said.startswith("6 sales: 5 stored")
    assert problems.startswith(f"{file}:7: token")


@pytest.mark.parametrize(
    ("lines", "header", "says"),
    [
        ([], "token,order_id,value,currency", "lacks at"),
        ([], f"{HEADER},at", "more than one at"),
        ([], HEADER, "no sale in it"),
        (["x,y,z,a,b"], HEADER, "no sale in it"),
    ],
)
def test_a_file_of_which_nothing_can_be_stored_fails(write, lines, header, says):
    with pytest.raises(CommandError, match=says) as error:
        run(write(*lines, header=header))
    assert error.value.returncode == 1


def test_a_file_that_is_not_there_fails():
    with pytest.raises(CommandError, match="No such file"):
        run(Path("nowhere.csv"))


def test_a_database_that_fails_halfway_keeps_what_was_stored(token, write, monkeypatch):
    monkeypatch.setattr(import_conversions, "CHUNK", 1)
    record, calls = conversions.record, []

    def fail_later(items):
        calls.append(1)
        if len(calls) == 2:
            raise OperationalError("gone")
        return record(items)

    file = write(row(token, "A-1"), row(token, "A-2"))
    kept = pytest.raises(CommandError, match="What was stored is kept")
    with mock.patch.object(conversions, "record", fail_later), kept:
        run(file)
    assert Conversion.objects.count() == 1
    assert run(file)[0] == "2 sales: 1 stored, 1 known, 0 told otherwise before, 0 refused"


def test_ctrl_c_ends_with_the_exit_code_that_shells_know(token, write):
    stopped = mock.patch.object(conversions, "record", side_effect=KeyboardInterrupt)
    with stopped, pytest.raises(SystemExit) as end:
        run(write(row(token, "A-1")))
    assert end.value.code == 130
