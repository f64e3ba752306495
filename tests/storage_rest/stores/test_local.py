import asyncio
import errno
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from common import wire
from common.wire import Batch, Upsert
from services.storage_rest.stores import local
from services.storage_rest.stores.base import Store, StoreUnavailable
from services.storage_rest.stores.local import DirectoryRefused, FileStore, claimed
from tests.storage_rest.running import running, upsert
from tests.storage_rest.stores.contract import Opened, StoreContract
from tests.waiting import eventually


class TestFileStore(StoreContract):
    @pytest.fixture
    def opened(self, tmp_path: Path) -> Opened:
        @asynccontextmanager
        async def opened() -> AsyncIterator[Store]:
            yield FileStore(tmp_path / "state")

        return opened

    async def test_a_process_that_dies_while_writing_leaves_the_former_file(
        self, opened: Opened, tmp_path: Path
    ) -> None:
        await self.after(opened, Batch(upserts=(upsert("a_1"),)))
        (tmp_path / "state" / "cache.new").write_bytes(b'{"revision":"","complete":tr')
        entries, _, _ = await self.held(opened)
        assert list(entries) == ["a_1"]

    @pytest.mark.parametrize("content", [b"", b"\xff", b'{"revision":"","complete":true}\n', b"{}\n[]\n"])
    async def test_a_broken_file_is_copied_and_damaged(self, opened: Opened, tmp_path: Path, content: bytes) -> None:
        await self.after(opened, Batch(complete=True))
        (tmp_path / "state" / local.NAME).write_bytes(content)
        async with opened() as store, running(store) as storage:
            await storage.service.stored.loaded()
            assert (storage.service.stored.keys, storage.service.stored.complete) == ([], False)
            assert str(tmp_path) in storage.service.stored.damage
        assert (tmp_path / "state" / "cache.unreadable").read_bytes() == content

    async def test_what_can_be_read_of_a_broken_file_is_a_seed_also_after_a_restart(
        self, opened: Opened, tmp_path: Path
    ) -> None:
        await self.after(opened, Batch(upserts=(upsert("a_1"), upsert("b_1")), complete=True))
        path = tmp_path / "state" / local.NAME
        path.write_bytes(path.read_bytes().replace(b'"key":"a_1"', b'"key":7'))
        for _ in range(2):
            async with opened() as store, running(store) as storage:
                await storage.service.stored.loaded()
                assert (storage.service.stored.keys[0], storage.service.stored.complete) == ("b_1", False)
                assert "line 2" in storage.service.stored.damage
                await storage.service.apply(Batch(upserts=(upsert("c_1"),), complete=True))
        await self.after(opened, Batch(confirmed=True))
        entries, _, complete = await self.held(opened)
        assert entries.keys() == {"b_1", "c_1"}
        assert complete

    async def test_a_directory_belongs_to_one_process(self, tmp_path: Path) -> None:
        with claimed(tmp_path / "state"), pytest.raises(DirectoryRefused, match="used by another process"):
            claimed(tmp_path / "state").__enter__()
        with claimed(tmp_path / "state"):
            pass

    async def test_a_directory_belongs_to_one_set_of_sources(self, tmp_path: Path) -> None:
        with claimed(tmp_path, ["--manifests a"]):
            pass
        with claimed(tmp_path, ["--manifests a", "--registry b"]):
            pass
        refused = pytest.raises(DirectoryRefused, match="was filled from --registry b too: add that")
        with refused, claimed(tmp_path, ["--manifests a"]):
            pass

    async def test_sources_may_be_files_with_names_of_any_bytes(self, tmp_path: Path) -> None:
        with claimed(tmp_path, ["--manifests x\udce9"]):
            pass
        with claimed(tmp_path, ["--manifests x\udce9", "--registry b"]):
            pass
        with pytest.raises(DirectoryRefused, match="--manifests x") as caught, claimed(tmp_path, ["--registry b"]):
            pass
        str(caught.value).encode()

    async def test_a_change_encodes_what_has_changed_and_nothing_else(
        self, opened: Opened, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Ten thousand documents took 200 ms of the event loop each time."""
        async with opened() as store, running(store) as storage:
            await storage.service.apply(Batch(upserts=tuple(upsert(f"a_{n}") for n in range(100))))
            encoded: list[str] = []
            line = wire.entry_line

            def counted(entry: Upsert) -> bytes:
                encoded.append(entry.key)
                return line(entry)

            monkeypatch.setattr(wire, "entry_line", counted)
            await storage.service.apply(Batch(upserts=(upsert("b_1"),)))
            assert encoded == ["b_1"]

    async def test_unchanged_content_is_no_write(self, opened: Opened, tmp_path: Path) -> None:
        async with opened() as store, running(store) as storage:
            await storage.service.apply(Batch(upserts=(upsert(),)))
            before = (tmp_path / "state" / local.NAME).stat()
            await storage.service.apply(Batch(upserts=(upsert(),)))
            after = (tmp_path / "state" / local.NAME).stat()
            assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)

    async def test_a_disk_that_refuses_is_tried_again(
        self, opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(local, "WAIT", 0.2)
        monkeypatch.setattr(local, "RETRY", 0.05)
        replace, full = FileStore._replace, True

        def refuse(store: FileStore, lines: list[bytes]) -> None:
            if full:
                raise OSError(errno.ENOSPC, "No space left on device")
            replace(store, lines)

        monkeypatch.setattr(FileStore, "_replace", refuse)
        async with opened() as store, running(store) as storage:
            with pytest.raises(StoreUnavailable, match=r"cannot be written.*STATE_DIR"):
                await storage.service.apply(Batch(upserts=(upsert(),)))
            assert "cannot be written" in json.dumps(storage.health.report())
            with pytest.raises(StoreUnavailable):
                await storage.service.apply(Batch(upserts=(upsert("b_1"),), complete=True))
            told = storage.service.snapshot()
            assert not told.complete
            [awaited] = told.awaited
            assert (awaited.source, "cannot be written" in awaited.reason) == ("the cache of storage-rest", True)
            full = False
            await eventually(lambda: (tmp_path / "state" / local.NAME).exists(), what="written at last")
            await eventually(lambda: storage.health.ready, what="ready again")
            answer = await storage.service.apply(Batch(upserts=(upsert(),)))
            assert (answer.changed, answer.unchanged) == (0, 1)
            await eventually(lambda: storage.service.snapshot().complete)
            assert storage.service.snapshot().awaited == ()

    async def test_changes_that_wait_are_written_together(
        self, opened: Opened, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        writes: list[list[bytes]] = []
        replace = FileStore._replace

        def counted(store: FileStore, lines: list[bytes]) -> None:
            writes.append(lines)
            replace(store, lines)

        monkeypatch.setattr(FileStore, "_replace", counted)
        async with opened() as store, running(store) as storage:
            await asyncio.gather(*(storage.service.apply(Batch(upserts=(upsert(f"a_{n}"),))) for n in range(50)))
        assert 1 <= len(writes) <= 3
