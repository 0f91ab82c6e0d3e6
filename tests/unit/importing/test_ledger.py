"""Reading ledger files, and what a dry run says of them."""

from __future__ import annotations

from pathlib import Path

from services.cli.importing.command import open_ledger, write_rejects
from services.cli.importing.ledger import Ledger, Problem

FBL5N = (
    "Company Code,Customer,Document Number,Document Type,Document Date,Net Due Date,"
    "Amount in Local Currency,Local Currency,Clearing Date\n"
)


def opened(tmp_path: Path, rows: str, header: str = FBL5N, name: str = "ledger.csv") -> Ledger:
    path = tmp_path / name
    path.write_bytes((header + rows).encode("utf-8", errors="surrogateescape"))
    return open_ledger(path, None)


def test_a_row_becomes_its_records_and_what_repeats_is_sent_once(tmp_path: Path) -> None:
    ledger = opened(
        tmp_path,
        '1000,C1,90001,RV,01/15/2026,02/14/2026,"1,200.50",USD,\n'
        "1000,C1,90002,RV,01/16/2026,02/15/2026,300.00,USD,02/20/2026\n"
        "1000,C1,14001,DZ,02/21/2026,,99.00-,USD,\n",
    )
    assert ledger.kinds() == ["branches", "accounts", "invoices", "receipts"]
    assert ledger.counts() == {"invoices": 2, "receipts": 2}
    assert len(list(ledger.records("accounts"))) == 1
    [first, second] = [record for _, record in ledger.records("invoices")]
    assert not isinstance(first, Problem)
    assert not isinstance(second, Problem)
    assert (first["total"], first["issued_on"], first["due_on"]) == ("1200.50", "2026-01-15", "2026-02-14")
    receipts = [record for _, record in ledger.records("receipts") if not isinstance(record, Problem)]
    assert [(r["amount"], r.get("applied")) for r in receipts] == [("300.00", "300.00"), ("99.00", None)]
    assert receipts[0]["item_id"] == second["invoice_id"]
    assert list(ledger.unmatched()) == []


def test_a_row_that_nothing_fits_is_told_with_its_line(tmp_path: Path) -> None:
    ledger = opened(tmp_path, "1000,C1,70001,DG,01/15/2026,01/15/2026,50.00-,USD,\n")
    assert [(problem.line, problem.code) for problem in ledger.unmatched()] == [(2, "row_unmatched")]


def test_rows_of_the_wrong_width_or_encoding_are_told_and_the_others_read(tmp_path: Path) -> None:
    ledger = opened(
        tmp_path,
        "1000,C1\n"
        "1000,C\udce9,90003,RV,01/15/2026,02/14/2026,1.00,USD,\n"
        "1000,C1,90004,RV,01/15/2026,02/14/2026,1.00,USD,\n",
    )
    assert [(p.line, p.code) for p in ledger.unmatched()] == [(2, "row_malformed"), (3, "encoding_invalid")]
    assert [row.line for row, _ in ledger.records("invoices")] == [4]


def test_line_numbers_survive_cells_with_line_breaks(tmp_path: Path) -> None:
    ledger = opened(
        tmp_path, '"1000","C\n1",90001,RV,bad,02/14/2026,1.00,USD,\n1000,C1,2,RV,bad,02/14/2026,1.00,USD,\n'
    )
    assert [row.line for row, _ in ledger.records("invoices")] == [2, 4]


def test_rejects_are_the_rows_as_they_were_with_the_reasons_beside_them(tmp_path: Path) -> None:
    rows = "1000,C1,90001,RV,01/15/2026,02/14/2026,1.00,USD,\n1000,C1,90002,RV,nonsense,02/14/2026,2.00,USD,\n"
    ledger = opened(tmp_path, rows)
    [problem] = [found for _, found in ledger.records("invoices") if isinstance(found, Problem)]
    assert (problem.line, problem.field, problem.code) == (3, "issued_on", "date_invalid")
    rejects = tmp_path / "ledger.rejects.csv"
    write_rejects(ledger, [problem], rejects)
    again = open_ledger(rejects, None)
    [row] = list(again.rows())
    assert row.values["Document Date"] == "nonsense"
    assert row.values["reject_code"] == "date_invalid"
    rejects.write_text(rejects.read_text().replace("nonsense", "01/16/2026"))
    assert [r for _, r in open_ledger(rejects, None).records("invoices")] == [
        r for _, r in opened(tmp_path, rows.replace("nonsense", "01/16/2026")).records("invoices")
    ][1:]


def test_ndjson_says_its_kinds_itself(tmp_path: Path) -> None:
    lines = '{"kind":"branches","branch":"B1","name":"One"}\nnot json\n{"kind":"surprises"}\n'
    ledger = opened(tmp_path, lines, header="", name="ledger.ndjson")
    assert ledger.kinds() == ["branches"]
    assert [record for _, record in ledger.records("branches")] == [{"branch": "B1", "name": "One"}]
    assert [(p.line, p.code) for p in ledger.unmatched()] == [(2, "row_malformed"), (3, "kind_unknown")]
