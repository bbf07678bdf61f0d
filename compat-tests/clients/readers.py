"""Readers that are not ours: the rows of a file as lines of JSON.

readers.py duckdb|pyarrow|fastavro|spark FILE

Dates, times and timestamps come as days and milliseconds, decimals and byte strings as texts (digits, hex), so that
what different readers see can be compared.
"""
import datetime
import decimal
import json
import os
import sys
import time

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


def plain(value):
    if isinstance(value, datetime.datetime):
        value = value if value.tzinfo else value.replace(tzinfo=datetime.timezone.utc)
        return (value - EPOCH) // datetime.timedelta(milliseconds=1)
    if isinstance(value, datetime.date):
        return value.toordinal() - EPOCH.toordinal()
    if isinstance(value, datetime.time):
        return ((value.hour * 60 + value.minute) * 60 + value.second) * 1000 + value.microsecond // 1000
    if isinstance(value, decimal.Decimal):
        return str(value)
    if isinstance(value, (bytes, bytearray)):
        return value.hex()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def duckdb(path):
    import duckdb

    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'")
    if path.endswith(".json"):
        rows = connection.execute(f"select json from read_json_objects('{path}')").fetchall()
        return [json.loads(row[0]) for row in rows]
    cursor = connection.execute(f"select * from '{path}'")
    names = [column[0] for column in cursor.description]
    return (dict(zip(names, row)) for row in cursor.fetchall())


def pyarrow(path):
    from pyarrow import parquet

    file = parquet.ParquetFile(path)
    columns = (file.schema.column(index) for index in range(len(file.schema)))
    # To pyarrow they are byte strings, whoever wrote them.
    enums = {column.path for column in columns if column.logical_type.type == "ENUM"}

    def texts(value, at):
        if isinstance(value, dict):
            return {key: texts(item, f"{at}.{key}" if at else key) for key, item in value.items()}
        return value.decode() if at in enums and value is not None else value

    return [texts(row, "") for row in file.read().to_pylist(maps_as_pydicts="strict")]


def fastavro(path):
    import fastavro

    with open(path, "rb") as file:
        return list(fastavro.reader(file))


def spark(path):
    # Its timestamps come in the process's own time zone.
    os.environ["TZ"] = "UTC"
    time.tzset()
    from pyspark.sql import SparkSession

    session = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
    for end in ("spark.driver.host", "spark.driver.bindAddress"):
        session = session.config(end, "127.0.0.1")
    rows = session.getOrCreate().read.parquet(path).collect()
    return [row.asDict(recursive=True) for row in rows]


reader, path = sys.argv[1:3]
readers = {"duckdb": duckdb, "pyarrow": pyarrow, "fastavro": fastavro, "spark": spark}
for row in readers[reader](path):
    print(json.dumps(plain(row), ensure_ascii=False))
