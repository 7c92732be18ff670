"""Files of tables as columns: CSV and TSV as spreadsheets write them, Parquet, JSON, and JSON lines.

pyarrow reads them; records of JSON that it does not take, since their types differ from row to row, stay Python values.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from robatch.instances.errors import InputError, first_line
from robatch.instances.files import UTF16, parse_json, read_text, threads_pay

SUFFIXES = (".csv", ".tsv", ".parquet", ".json", ".jsonl", ".ndjson")

_SNIFFED = 1 << 20  # bytes at the start of a CSV file that tell how it is written
_ONE_OBJECT = re.compile(rb"\{(?!.*\}\s*[^\s,\]}])|\r?$")  # or none, on a line
_MOST_BRACKETS = 500  # of a line of JSON that pyarrow is given
_DECIMAL_COMMA = re.compile(r'(?:^|[;\t"])[+-]?(?:0?,\d+|\d+,\d{1,2}|\d+,\d{4,}|\d{4,},\d+)(?=[;\t"]|$)', re.ASCII)


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a table, which are read or converted when they are asked for.

    Attributes
    ----------
    names
        One a column.
    rows
        Number of rows.
    get
        Returns the column at a position: an Arrow array, or a list of Python values if they have no type in common.
    mark
        The decimal mark of the numbers in its texts.
    loose
        Whether spaces around its texts have no meaning, as in CSV files.
    """

    names: Sequence[str]
    rows: int
    get: Callable[[int], Any]
    mark: str = "."
    loose: bool = False


def arrow_columns(table: Any, mark: str = ".", loose: bool = False) -> Columns:
    """Return the columns of a pyarrow table."""
    return Columns(table.column_names, table.num_rows, table.column, mark, loose)


def read_columns(path: str, what: str, labels: Sequence[str] | None) -> Columns:
    """Read a file of a table; columns of a CSV file named in `labels` (None: all) are text, whatever they look like.

    Raises
    ------
    InputError
        If it cannot be read. The message says `what` it should have been.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        excel = ": save the sheet as CSV" if suffix in (".xls", ".xlsx", ".ods") else ""
        raise InputError(f"cannot read {what} {path!r}: a file ending in {', '.join(SUFFIXES)} is needed{excel}")
    if not os.path.isfile(path):  # a folder would be read as one Parquet data set
        raise InputError(f"cannot read {what} {path!r}: there is no such file")
    with _refusing(path, what):
        if suffix in (".csv", ".tsv"):
            with open(path, "rb") as file:  # since pyarrow opens no file whose name is not UTF-8
                return _read_csv(file, "\t" if suffix == ".tsv" else ",", labels)
        if suffix == ".parquet":
            return _read_parquet(path, what)
    if suffix == ".json":
        return records_of(read_json(path, what), f"{what} {path!r}")
    return _read_json_lines(path, what)


@contextmanager
def _refusing(path: str, what: str) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except InputError as error:
        raise InputError(f"cannot read {what} {path!r}: {error}") from None
    except (pa.ArrowException, OSError, ValueError, TypeError, OverflowError) as error:
        kind = Path(path).suffix[1:].upper()
        reason = f"it is not a complete {kind} file ({first_line(error)[:200]})"
        if isinstance(error, UnicodeDecodeError) or "invalid UTF8" in reason:
            reason = f"it is not UTF-8 text: save it as {kind} UTF-8"
        raise InputError(f"cannot read {what} {path!r}: {reason}") from None


def _read_parquet(path: str, what: str) -> Columns:
    import pyarrow.parquet as pq

    with open(path, "rb") as file:
        metadata = pq.read_metadata(file)
    names = metadata.schema.to_arrow_schema().names

    def get(position: int) -> Any:
        with _refusing(path, what), open(path, "rb") as file:
            threads = threads_pay(file)
            stored = pq.ParquetFile(file, metadata=metadata, pre_buffer=threads)
            if names.count(names[position]) == 1:
                found = stored.read([names[position]], use_threads=threads)
                if found.column_names == [names[position]]:
                    return found.column(0)
            return stored.read(use_threads=threads).column(position)

    return Columns(names, metadata.num_rows, get)


def _read_csv(file: IO[bytes], usual: str, labels: Sequence[str] | None) -> Columns:
    """Read a CSV file: its encoding, delimiter and decimal mark are found, and rows without any value left out."""
    import pyarrow as pa
    import pyarrow.csv as pc

    start = file.read(_SNIFFED)
    encoding = "utf-16" if start.startswith(UTF16) else "utf8"
    lines = start.decode("utf-8-sig" if encoding == "utf8" else encoding, errors="replace").splitlines() or [""]
    said = re.fullmatch('"?sep=(.)"?', lines[0])  # Excel's own first line
    header = lines[1] if said and len(lines) > 1 else lines[0]
    if "\0" in header:  # UTF-16 without its mark
        raise InputError("it is not UTF-8 text: save it as CSV UTF-8")
    delimiter = said[1] if said else max((usual, ",", ";", "\t"), key=lambda mark: len(_cells(header, mark)))
    comma = delimiter != "," and any(map(_DECIMAL_COMMA.search, lines))
    text = [name for name in _cells(header, delimiter) if labels is None or name.strip() in labels]
    ragged: list[Any] = []

    def invalid(row: Any) -> str:
        if not row.text.strip(f'{delimiter}" \t\r\n'):
            return "skip"
        ragged.append(row)
        return "error"

    def read(handler: Callable[[Any], str] | None) -> Any:
        file.seek(0)
        return pc.read_csv(
            file,
            read_options=pc.ReadOptions(
                encoding=encoding, skip_rows=1 if said else 0, use_threads=handler is None and threads_pay(file)
            ),
            parse_options=pc.ParseOptions(
                delimiter=delimiter,
                newlines_in_values=handler is not None or any('"' in line for line in lines),
                invalid_row_handler=handler,
            ),
            convert_options=pc.ConvertOptions(
                column_types=dict.fromkeys(text, pa.string()),
                strings_can_be_null=False,
                decimal_point="," if comma else ".",
            ),
        )

    try:
        table = read(None)
    except pa.ArrowInvalid as error:
        if "columns, got" not in str(error):
            raise
        file.seek(0)
        file.read().decode(encoding)  # the handler takes nothing but text
        try:
            table = read(invalid)
        except pa.ArrowInvalid:
            if not ragged:
                raise
            row = ragged[0]
            counts = f"{row.actual_columns} cells where {row.expected_columns} are needed"
            raise InputError(f"line {row.number} has {counts}: {row.text[:60]!r}") from None
    _ = table.column_names  # fails where the first line is not text
    return arrow_columns(without_empty_rows(table), "," if comma else ".", loose=True)


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return [line]


def without_empty_rows(table: Any) -> Any:
    """Leave out rows without any value, such as spreadsheets write below the last one."""
    import pyarrow as pa
    import pyarrow.compute as pc

    empty: Any = None
    typed = [column for column in table.columns if not pa.types.is_null(column.type)]
    if any(column.type in (pa.string_view(), pa.binary_view()) for column in typed):  # which Arrow cannot filter
        return table
    for column in sorted(typed, key=lambda column: is_text(column.type)):  # to look for a null is quickest
        blank = pc.is_null(column)
        if column.type in (pa.string(), pa.large_string()):
            blank = pc.equal(pc.fill_null(pc.binary_length(column), 0), 0)
        empty = blank if empty is None else pc.and_(empty, blank)
        if not pc.any(empty).as_py():
            return table
    return table.slice(0, 0) if empty is None else table.filter(pc.invert(empty))


def is_text(kind: Any) -> bool:
    """Whether an Arrow type is one of strings, or of bytes, which may be strings."""
    import pyarrow as pa

    return kind in (pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary(), pa.binary_view())


def read_json(path: str, what: str) -> Any:
    """Read a JSON file; what it is not is said as by `read_columns`."""
    try:
        return parse_json(read_text(path, what))
    except InputError:
        raise
    except ValueError as error:
        hint = "; a file with one object a line is named .jsonl" if "Extra data" in str(error) else ""
        raise InputError(f"cannot read {what} {path!r}: it is not a complete JSON file ({error}{hint})") from None


def records_of(value: Any, name: str) -> Columns:
    """Return the columns of a list of objects, one a row, or of an object of columns: lists, or objects by row."""
    if isinstance(value, list) and all(isinstance(row, Mapping) for row in value):
        names = list(dict.fromkeys(key for row in value for key in row))
        return Columns(names, len(value), lambda position: [row.get(names[position]) for row in value])
    if isinstance(value, Mapping) and value:
        columns = list(value.values())
        if all(isinstance(column, Mapping) and column.keys() == columns[0].keys() for column in columns):
            columns = [[column[row] for row in columns[0]] for column in columns]
        lists = (isinstance(column, Sized) and not isinstance(column, str | bytes | Mapping) for column in columns)
        if all(lists) and len({len(column) for column in columns}) == 1:
            return Columns(list(value), len(columns[0]), lambda position: list(columns[position]))
    raise InputError(f"{name} is no list of objects and no object of columns of one length: one object a row is needed")


def _read_json_lines(path: str, what: str) -> Columns:
    import pyarrow as pa

    with _refusing(path, what), open(path, "rb") as file:
        if all(map(_is_plain, file)):
            try:
                return arrow_columns(_read_plain_lines(file))
            except pa.ArrowException:
                pass  # types that differ from row to row, or a mistake whose line is to be named
    text = read_text(path, what)
    if text.lstrip().startswith("["):  # one list of objects
        with suppress(ValueError):
            return records_of(parse_json(text), f"{what} {path!r}")
    rows = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                rows.append(parse_json(line))
            except ValueError as error:
                raise InputError(f"cannot read {what} {path!r}: line {number} is not JSON ({error})") from None
    return records_of(rows, f"{what} {path!r}")


def _is_plain(line: bytes) -> bool:
    """Whether a line of JSON goes to pyarrow: one object, with few others in it, and not Python's own reader."""
    return bool(_ONE_OBJECT.match(line)) and line.count(b"{") + line.count(b"[") <= _MOST_BRACKETS


def _read_plain_lines(file: IO[bytes]) -> Any:
    """Return the Arrow table of JSON lines, whose texts stay as they are written, also those that are dates."""
    import pyarrow as pa
    import pyarrow.json as pj

    threads = pj.ReadOptions(use_threads=threads_pay(file))
    file.seek(0)
    table = pj.read_json(file, read_options=threads)
    times = [field.name for field in table.schema if pa.types.is_timestamp(field.type)]
    if times:
        schema = pa.schema([(name, pa.string()) for name in times])
        file.seek(0)
        table = pj.read_json(file, threads, parse_options=pj.ParseOptions(explicit_schema=schema))
    if any("timestamp" in str(kind) for kind in table.schema.types):  # within objects
        raise pa.ArrowInvalid("texts would be read as times")
    return table
