import asyncio
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from common.wire import Batch
from services.storage_rest.stores import file
from services.storage_rest.stores.base import StoreUnavailable
from services.storage_rest.stores.file import FileStore
from tests.storage_rest.running import running, upsert
from tests.storage_rest.stores.contract import StoreContract
from tests.waiting import eventually


class TestFileStore(StoreContract):
    @pytest.fixture
    def opened(self, tmp_path: Path):
        @asynccontextmanager
        async def opened():
            yield FileStore(tmp_path / "state")

        return opened

    async def test_a_process_that_dies_while_writing_leaves_the_former_file(self, opened, tmp_path):
        await self.after(opened, Batch(upserts=(upsert("a_1"),)))
        (tmp_path / "state" / "cache.new").write_bytes(b'{"revision":"","complete":tr')
        entries, _, _ = await self.held(opened)
        assert list(entries) == ["a_1"]

    @pytest.mark.parametrize("content", [b"", b"\xff", b'{"revision":"","complete":true}\n', b"{}\n[]\n"])
    async def test_a_broken_file_is_put_aside_and_is_not_complete(self, opened, tmp_path, content):
        await self.after(opened, Batch(complete=True))
        (tmp_path / "state" / file.NAME).write_bytes(content)
        assert await self.held(opened) == ({}, {}, False)
        assert (tmp_path / "state" / "cache.unreadable").read_bytes() == content

    async def test_unchanged_content_is_no_write(self, opened, tmp_path):
        async with opened() as store, running(store) as storage:
            await storage.service.apply(Batch(upserts=(upsert(),)))
            before = (tmp_path / "state" / file.NAME).stat()
            await storage.service.apply(Batch(upserts=(upsert(),)))
            after = (tmp_path / "state" / file.NAME).stat()
            assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)

    async def test_a_disk_that_refuses_is_tried_again(self, opened, tmp_path, monkeypatch):
        monkeypatch.setattr(file, "WAIT", 0.2)
        monkeypatch.setattr(file, "RETRY", 0.05)
        (tmp_path / "state").write_text("a file where the directory should be")
        async with opened() as store, running(store) as storage:
            with pytest.raises(StoreUnavailable, match=r"cannot be written.*STATE_DIR"):
                await storage.service.apply(Batch(upserts=(upsert(),)))
            assert storage.service.keys == ["serving_iris"]
            (tmp_path / "state").unlink()
            await eventually(lambda: (tmp_path / "state" / file.NAME).exists(), what="written at last")
            answer = await storage.service.apply(Batch(upserts=(upsert(),)))
            assert (answer.changed, answer.unchanged) == (0, 1)

    async def test_changes_that_wait_are_written_together(self, opened, monkeypatch):
        writes = []
        replace = FileStore._replace
        monkeypatch.setattr(
            FileStore, "_replace", lambda self, content: (writes.append(content), replace(self, content))
        )
        async with opened() as store, running(store) as storage:
            await asyncio.gather(*(storage.service.apply(Batch(upserts=(upsert(f"a_{n}"),))) for n in range(50)))
        assert 1 <= len(writes) <= 3
