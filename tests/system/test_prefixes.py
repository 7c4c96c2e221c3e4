"""One prefix may stand for many."""

from running import (
    Api,
    command,
    daemon,
    sandbox,
    summed_up,
    wait_until,
    without_privilege,
    write_config,
    write_files,
)


def test_folders_that_a_pattern_matches_are_watched_as_they_come_and_others_are_named(tmp_path):
    with sandbox(tmp_path / "sandbox") as ready:
        api = Api(ready)
        pattern = tmp_path / "home/*/work"
        config = write_config(tmp_path / "daemon", ready, pattern)
        text = config.read_text().replace("[[watch]]\n", "[[watch]]\nrescan_s = 0.2\n")
        config.write_text(text)
        rids = [api.execution() for _ in range(2)]
        locked, private = tmp_path / "locked", tmp_path / "home/eve"
        (locked / "work/deriva-ml/execution").mkdir(parents=True)
        locked.chmod(0)
        private.mkdir(mode=0, parents=True)
        other = f'[[watch]]\nprefix = "{locked}/work"\n'
        config.write_text(other + config.read_text())
        with daemon(config, wait=False, through=without_privilege()) as running:
            told = running.wait_for(lambda e: "may match" in e.get("what", ""))
            shown = command(config, "status").stdout
            for user, rid in zip(("ann", "bob"), rids, strict=True):
                root = tmp_path / f"home/{user}/work/deriva-ml/execution/{rid}"
                write_files(root, {"assets/Execution_Asset/a.txt": user.encode()})

                running.wait_for_state(rid, "uploaded")

            missing = [each["why"] for each in summed_up(config)["problems"]]
            private.chmod(0o755)
            locked.chmod(0o755)
            wait_until(lambda: not summed_up(config)["problems"])

        assert told["why"] == f"{private}: it cannot be looked into: Permission denied"
        assert told["what"] in shown
        assert missing == [f"{locked}/work cannot be looked at: Permission denied", told["why"]]
        assert len(api.rows("deriva-ml:Execution_Asset")) == 2


def test_what_is_older_than_the_settings_want_is_passed_over_and_named(tmp_path):
    with sandbox(tmp_path / "sandbox") as ready:
        api = Api(ready)
        config = write_config(tmp_path / "daemon", ready, tmp_path / "new")
        old = f'[[watch]]\nprefix = "{tmp_path}/old"\nnewer_than = 2999-01-01\n'
        config.write_text(old + config.read_text())
        rids = {name: api.execution() for name in ("old", "new")}
        for name, rid in rids.items():
            root = tmp_path / name / "deriva-ml/execution" / rid
            write_files(root, {"assets/Execution_Asset/a.txt": name.encode()})
        with daemon(config) as running:
            running.wait_for_state(rids["new"], "uploaded")
            passed = running.wait_for(lambda event: event["event"] == "notice.added")

        assert passed["execution"] == rids["old"]
        assert "before newer_than (2999-01-01 00:00)" in passed["why"]
        assert len(api.rows("deriva-ml:Execution_Asset")) == 1
