"""Names that programs and file servers make become no unit and no asset."""

from running import Api, command, daemon, sandbox, write_config, write_files

DROP = """
[[drop]]
path = "{path}"
table = "Execution_Asset"
pattern = '.+'
unit = "directory"
quiet_s = 0.2
rescan_s = 1
"""


def test_recycle_bins_snapshots_and_leftovers_are_not_uploaded(tmp_path):
    share, prefix = tmp_path / "share", tmp_path / "data"
    executions = prefix / "deriva-ml/execution"
    bins = ("#recycle", "$RECYCLE.BIN", "@Recycle", "System Volume Information", "lost+found")
    write_files(share, {f"{name}/old/a.raw": name for name in (*bins, "@eaDir")})
    write_files(executions, {f"{name}/a.raw": name for name in (*bins, "scratch-1")})
    with sandbox(tmp_path / "server") as ready:
        api = Api(ready)
        rid = api.execution()
        config = write_config(tmp_path / "daemon", ready, prefix)
        ignore = '\n[files]\nignore = ["scratch*"]\n'
        config.write_text(config.read_text() + DROP.format(path=share) + ignore)
        with daemon(config) as running:
            write_files(share, {"run1/a.raw": "1", "run1/.b.raw.aB3xYz": "2"})
            flat = "assets/Execution_Asset"
            write_files(executions / rid, {f"{flat}/a.txt": "a", f"{flat}/a:Zone.Identifier": "z"})
            (share / "#recycle" / "later.raw").write_text("deleted now")
            (executions / "#recycle" / "later.raw").write_text("deleted now")
            running.wait_for_state("run1", "uploaded")
            running.wait_for_state(rid, "uploaded")
            running.stop()
        names = {row["Filename"] for row in api.rows("deriva-ml:Execution_Asset")}
        shown = command(config, "show", rid, "--all").stdout

    assert names == {"a.raw", "a.txt"}
    units = {event.get("execution") for event in running.events()} - {None}
    assert units == {rid, "run1"}
    assert "no data (Windows, about a download" in shown
