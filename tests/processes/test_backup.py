"""``strata backup`` and ``strata restore``: from one installation into another, which then works."""

import json
import tempfile
from pathlib import Path
from shutil import rmtree

from tests.conftest import MASTER_KEY, Database
from tests.processes.served import served, strata
from tests.processes.test_serve import account


def test_an_installation_is_taken_elsewhere(database: Database, tmp_path: Path) -> None:
    here = {"STRATA_DATABASE_URL": database.owner_dsn}
    file = str(tmp_path / "strata.backup")
    with served(here) as server:
        client, project_id = account(server)
        data = f"/api/projects/{project_id}/data"
        protected = {"config": {"protected_fields": ["key"]}, "key": "sesame"}
        version = client.put(data, json=protected).raise_for_status().headers["ETag"]
        made = strata(here, "backup", file, "--json")
        assert (made.returncode, made.stderr) == (0, "")
    assert json.loads(made.stdout)["rows"]["project"] >= 1
    assert Path(file).stat().st_mode & 0o777 == 0o600
    again = strata(here, "backup", file)
    assert (again.returncode, "--force" in again.stderr) == (1, True)
    folder = Path(tempfile.mkdtemp(prefix="strata-test-"))
    folder.chmod(0o755)
    there = {"STRATA_DATA_DIR": str(folder / "data")}
    without = strata(there, "restore", file)
    assert (without.returncode, "STRATA_MASTER_KEY" in without.stderr) == (1, True)
    there["STRATA_MASTER_KEY"] = MASTER_KEY.hex()
    done = strata(there, "restore", file)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    twice = strata(there, "restore", file)
    assert (twice.returncode, "empty" in twice.stderr) == (1, True)
    with served(there) as server:
        token = client.headers["Authorization"].removeprefix("Bearer ")
        shown = server.client(token).get(data, params={"decrypt_protected": "true"})
        assert (shown.json()["key"], server.client(token).get(data).headers["ETag"]) == ("sesame", version)
    rmtree(folder, ignore_errors=True)
