"""Prints what a logger's own files hold as JSON, {name: [[step, value], ...]}, each point as often as it was written.

    python read-series.py tensorboard|swanlab|wandb FOLDER
"""

import glob
import json
import struct
import sys

BLOCK = 32768
HEADER = 7


def tensorboard(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(folder, size_guidance={"scalars": 0})
    events.Reload()
    for name in events.Tags()["scalars"]:
        for point in events.Scalars(name):
            yield name, point.step, point.value


def swanlab(folder):
    from swanlab.proto.swanlab.record.v1.record_pb2 import Record
    from swanlab.sdk.internal.core_python.store import DataStoreReader

    for file in sorted(glob.glob(f"{folder}/run-*/*.swanlab")):
        reader = DataStoreReader()
        reader.open(file)
        while (data := reader.scan()) is not None:
            record = Record.FromString(data)
            # Its own watch over the machine stands under __swanlab__.
            if record.HasField("scalar") and not record.scalar.key.startswith("__swanlab__"):
                yield record.scalar.key, record.scalar.step, record.scalar.value.number


def wandb(folder):
    from wandb.proto.wandb_internal_pb2 import Record

    for file in sorted(glob.glob(f"{folder}/wandb/*run-*/*.wandb")):
        for data in log_records(open(file, "rb").read()):
            items = Record.FromString(data).history.item
            row = {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}
            for name, value in row.items():
                if not name.startswith("_"):
                    yield name, row["_step"], value


def log_records(content):
    """Records of a LevelDB log behind a file header: https://github.com/google/leveldb/blob/main/doc/log_format.md"""
    whole, first, middle, last = 1, 2, 3, 4
    at, data = HEADER, b""
    while at + HEADER <= len(content):
        if BLOCK - at % BLOCK < HEADER:
            at += BLOCK - at % BLOCK
            continue
        _, length, kind = struct.unpack_from("<IHB", content, at)
        assert kind in (whole, first, middle, last), f"record type {kind} at {at}"
        data += content[at + HEADER : at + HEADER + length]
        at += HEADER + length
        if kind in (whole, last):
            yield data
            data = b""


series = {}
for name, step, value in {"tensorboard": tensorboard, "swanlab": swanlab, "wandb": wandb}[sys.argv[1]](sys.argv[2]):
    series.setdefault(name, []).append([step, value])
json.dump(series, sys.stdout)
