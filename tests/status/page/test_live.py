"""The page of a real daemon while it uploads to a real server."""

import os
import signal

from running import Api, daemon, sandbox, write_config, write_files
from status.page.looking import browsing, level, looking, shoot

FOLDER = "asset/deriva-ml/Execution_Asset"
HOSTILE = ["<img src=x onerror=alert(1)>", "two\nlines", "\u202egnp.exe", "\x1b[31mred"]


def test_the_page_goes_with_an_upload_to_its_end_and_tells_when_the_daemon_dies(tmp_path):
    """A file that goes slowly is seen on its way; the names among the others do nothing."""
    prefix = tmp_path / "data"
    settings = {
        "status": {"listen": "127.0.0.1:0"},
        "transfer": {"chunk_bytes": 2**18, "bandwidth_bytes_per_s": 2**20},
    }
    with sandbox(tmp_path / "server") as ready, browsing() as browser:
        rid = Api(ready).execution()
        directory = prefix / "deriva-ml" / "execution" / rid
        directory.parent.mkdir(parents=True)
        latin = f"{FOLDER}/{os.fsdecode(b'caf' + bytes([0xE9]))}"
        config = write_config(tmp_path / "us", ready, prefix, **settings)
        with daemon(config) as running:
            url = running.wait_for(lambda event: event["event"] == "status.listening")["url"]
            with looking(browser, url) as page:
                level(page, "empty")
                files = {f"{FOLDER}/{name}": "x" for name in HOSTILE}
                files[f"{FOLDER}/large.bin"] = os.urandom(3 * 2**20)
                files[latin] = "no text"
                write_files(directory, files)
                level(page, "busy")
                page.locator(".current").get_by_text("large.bin").wait_for()
                bar = page.get_by_role("progressbar", name=rid)
                before = float(bar.get_attribute("value"))
                page.locator(
                    f"progress[aria-label*='{rid}']:not([value='{before:.0f}'])"
                ).wait_for()
                shoot(page, "uploading")
                level(page, "person")
                assert "its name is not UTF-8" in page.locator(".todo").inner_text()
                (directory / latin).unlink()
                level(page, "safe")
                page.get_by_role("link", name=f"Execution {rid}").click()
                page.get_by_text(f"All its {len(HOSTILE) + 1} files are in the catalog").wait_for()
                assert "large.bin" in page.locator(".table").inner_text()

                running.process.send_signal(signal.SIGKILL)
                level(page, "lost")
