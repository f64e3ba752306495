"""The connector reads a real MLflow server."""

from pathlib import Path

from tests.mlflow.contract import Contract, Server


class TestRealServer(Contract):
    async def test_without_credentials_nothing_is_read_and_the_remedy_names_the_files(
        self, server: Server, tmp_path: Path
    ) -> None:
        server.credentials = None
        async with server.polling() as poller:
            reading = await poller.poll()
        assert reading.fault is not None
        assert not reading.complete
        assert reading.fault.kind == "unauthorized"
        assert reading.fault.remedy == (
            "MLflow team does not accept requests without valid credentials: write them as team.token, or "
            "team.username and team.password, in the folder SERVER_CREDENTIALS_DIR"
        )
