"""How a row of somebody's ledger becomes records."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.cli.importing.mapping import (
    Condition,
    FileSpec,
    LedgerMapping,
    MappingInvalid,
    RecordSpec,
    RowRefused,
    Source,
    amount_text,
    derived_id,
    layouts,
    read_mapping,
    recognise,
    record_of,
)


def mapping_of(fields: dict[str, Source], *when: Condition) -> tuple[RecordSpec, LedgerMapping]:
    spec = RecordSpec(kind="invoices", fields=fields, when=when)
    return spec, LedgerMapping(name="n", namespace="ns", record=(spec,), file=FileSpec(dates=("%m/%d/%Y", "%Y%m%d")))


class TestAmounts:
    @pytest.mark.parametrize(
        ("text", "plain"),
        [
            ("$1,204.50", "1204.50"),
            ("(12.00)", "-12.00"),
            ("12.00-", "-12.00"),
            ("12.00 CR", "-12.00"),
            ("-3", "-3"),
            ("55.9", "55.9"),
            ("0000.10", "0.10"),
        ],
    )
    def test_amounts_as_ledgers_write_them(self, text: str, plain: str) -> None:
        assert amount_text(text) == plain

    def test_a_comma_may_be_the_decimal_sign(self) -> None:
        assert amount_text("1.204,50", decimal=",") == "1204.50"

    @pytest.mark.parametrize("text", ["", "n/a", "1.2.3", "--", "NaN"])
    def test_what_is_no_amount_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError):
            amount_text(text)


class TestRecords:
    def test_each_source_gives_its_text(self) -> None:
        spec, mapping = mapping_of(
            {
                "number": Source(column="No"),
                "currency": Source(value="USD"),
                "name": Source(text="{Region}/{No}"),
                "invoice_id": Source(id="invoice {No}"),
                "issued_on": Source(column="Date", as_="date"),
                "total": Source(column="Total", as_="absolute"),
                "reason": Source(column="Why", to={"P": "price"}, default="other"),
            }
        )
        row = {"No": " 17 ", "Region": "N", "Date": "20250131", "Total": "(1,000.00)", "Why": "P"}
        assert record_of(spec, mapping, row) == {
            "number": "17",
            "currency": "USD",
            "name": "N/17",
            "invoice_id": derived_id("ns", "invoice 17"),
            "issued_on": "2025-01-31",
            "total": "1000.00",
            "reason": "price",
        }

    def test_a_blank_cell_is_left_out_or_takes_the_default(self) -> None:
        spec, mapping = mapping_of({"po": Source(column="PO"), "terms": Source(column="T", default="net 30")})
        assert record_of(spec, mapping, {"PO": " ", "T": ""}) == {"terms": "net 30"}

    def test_a_condition_decides_whether_a_row_has_the_record(self) -> None:
        spec, mapping = mapping_of({"n": Source(column="n")}, Condition(column="Paid", blank=False))
        assert record_of(spec, mapping, {"n": "1", "Paid": ""}) is None
        assert record_of(spec, mapping, {"n": "1", "Paid": "x"}) == {"n": "1"}

    def test_credits_are_told_from_invoices_by_sign(self) -> None:
        negative, mapping = mapping_of({"n": Source(column="n")}, Condition(column="Amt", sign="negative"))
        assert record_of(negative, mapping, {"n": "1", "Amt": "(5.00)"}) == {"n": "1"}
        assert record_of(negative, mapping, {"n": "1", "Amt": "5.00"}) is None

    @pytest.mark.parametrize(
        ("source", "row", "code"),
        [
            (Source(column="D", as_="date"), {"D": "31/31/2020"}, "date_invalid"),
            (Source(column="A", as_="amount"), {"A": "ten"}, "amount_invalid"),
            (Source(column="X"), {}, "column_missing"),
            (Source(id="invoice {No}"), {"No": ""}, "id_incomplete"),
        ],
    )
    def test_a_row_that_cannot_be_read_is_refused_with_field_and_code(
        self, source: Source, row: dict[str, str], code: str
    ) -> None:
        spec, mapping = mapping_of({"f": source})
        with pytest.raises(RowRefused) as refused:
            record_of(spec, mapping, row)
        assert (refused.value.field, refused.value.code) == ("f", code)


class TestMappingFiles:
    def test_every_layout_reads_and_is_recognised_by_its_own_header(self) -> None:
        known = layouts()
        assert known
        for layout in known:
            assert layout.header, f"{layout.name} cannot be recognised"
            assert recognise([*sorted({*layout.header} | layout.columns()), "extra"], known) == layout

    def test_an_unknown_header_is_not_guessed(self) -> None:
        assert recognise(["a", "b"], layouts()) is None

    @pytest.mark.parametrize(
        "text",
        [
            "name = 'x'",
            "name='x'\nnamespace='n'\n[[record]]\nkind='invoices'\n[record.fields]\na = {column='b', value='c'}",
            "name='x'\nnamespace='n'\nrecord=[]\nsurprise=1",
            "not toml",
        ],
    )
    def test_a_wrong_mapping_is_refused_with_its_place(self, tmp_path: Path, text: str) -> None:
        path = tmp_path / "m.toml"
        path.write_text(text)
        with pytest.raises(MappingInvalid, match=r"m\.toml"):
            read_mapping(path)
