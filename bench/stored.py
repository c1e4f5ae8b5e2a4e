"""What a repository holds: the objects that a backup added, and what its packs consist of
(docs/format.md, "Packs"). The archive of WAL is left out, as are leases."""

import struct

import measured

ENTRY_BYTES = 52  # of a pack's footer
TRAILER_BYTES = 64
KINDS = {1: "data", 2: "map leaves", 3: "map nodes", 4: "tree", 5: "tree"}
PARTS = ["data", "map leaves", "map nodes", "tree", "pack frames and tags", "index", "snapshots"]


def objects(repository):
    """Sizes by path, of what backups have stored."""
    found = {}
    for cluster in (repository / "clusters").iterdir():
        for folder in ("packs", "index", "snapshots"):
            for path in (cluster / folder).rglob("*"):
                if path.is_file():
                    found[path] = path.stat().st_size
    return found


def parts_of_pack(path):
    """Stored bytes by kind of chunk; the rest is what the pack adds to its chunks. And the raw bytes of
    data."""
    content = path.read_bytes()
    trailer = content[-TRAILER_BYTES:]
    magic, footer, size, chunks = struct.unpack_from("<8sQQI", trailer)
    if magic != b"PGHLFOOT" or size != len(content):
        raise measured.Failure(f"{path} has no footer")
    parts = {}
    raw_data_bytes = 0
    for number in range(chunks):
        stored, raw, _, kind = struct.unpack_from(
            "<IIBB", content, footer + number * ENTRY_BYTES + 40
        )
        parts[KINDS[kind]] = parts.get(KINDS[kind], 0) + stored
        raw_data_bytes += raw if KINDS[kind] == "data" else 0
    parts["pack frames and tags"] = size - sum(parts.values())
    return parts, raw_data_bytes


def parts(added):
    """The same for all objects of a backup, as objects() names them."""
    raw_data_bytes = 0
    total = dict.fromkeys(PARTS, 0)
    for path, size in added.items():
        if "packs" in path.parts:
            of_pack, raw = parts_of_pack(path)
            raw_data_bytes += raw
            for part, part_bytes in of_pack.items():
                total[part] += part_bytes
        else:
            total["index" if "index" in path.parts else "snapshots"] += size
    return total, raw_data_bytes
