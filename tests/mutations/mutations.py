"""Mistakes that somebody could make in the code tomorrow, and the tests that must notice each.

Texts are those of the source: whoever changes a line that stands here changes it here as well.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Mutation:
    """A mistake.

    Attributes:
        name: What is forgotten.
        file: Below src/deriva_watch.
        edits: What is written instead of what; each old text stands exactly once in the file.
        tests: Of them at least one must fail; "file::test", as pytest has them.
    """

    name: str
    file: str
    edits: tuple[tuple[str, str], ...]
    tests: tuple[str, ...]


ADOPTION: Final = "tests/engine/rows/test_adoption.py"
CRASHES: Final = "tests/engine/test_crashes.py"
STORE: Final = "tests/engine/files/test_depositor.py"
STREAM: Final = "tests/engine/test_stream.py"
POOL: Final = "tests/engine/test_fair_pool.py"
HATRAC: Final = "tests/edges/server/test_hatrac.py"
WRITER: Final = "tests/engine/rows/test_writer.py"
TWO: Final = "tests/engine/test_two_uploaders.py"
TABLE_CRASHES: Final = "tests/engine/rows/test_table_crashes.py"
JOURNAL: Final = "tests/edges/journal/test_journal.py"
JOURNAL_FILE: Final = "tests/edges/journal/test_journal_file.py"
PRUNING: Final = "tests/edges/journal/test_pruning.py"
JOURNAL_CRASH: Final = "tests/edges/journal/test_journal_crash.py"
DERIVA: Final = "tests/edges/server/test_deriva.py"
STANDING: Final = "tests/status/test_sections.py"
WATCHER: Final = "tests/edges/watching/test_watcher.py"
PROBE: Final = "tests/edges/watching/test_probe.py"
SCANNER: Final = "tests/edges/disk/scanning/test_scanner.py"
WORKSPACE: Final = "tests/edges/disk/test_workspace.py"
REMOVAL: Final = "tests/edges/disk/test_removal.py"
REMOVER: Final = "tests/cleanup/test_remover.py"
DROPS: Final = "tests/pipeline/test_drop_units.py"
DROP_CRASHES: Final = "tests/pipeline/test_drop_crashes.py"
REVERIFICATION: Final = "tests/daemon/test_reverification.py"
SCHEDULER: Final = "tests/cleanup/test_scheduler.py"
COMPLETION: Final = "tests/core/completeness/test_completion.py"
LOOKOUT: Final = "tests/watch/test_inspector.py"
LANES: Final = "tests/daemon/test_lanes.py"
AHEAD: Final = "tests/watch/test_prehash.py"
PRIOR: Final = "tests/pipeline/test_prior_executions.py"
DROP: Final = "tests/core/drop/test_drop.py"
DROP_PLAN: Final = "tests/pipeline/test_drop_plan.py"

MUTATIONS: Final = (
    # ------------------------------------------------------------ nothing doubled
    Mutation(
        "no look-up before the INSERT",
        "engine/rows/writer.py",
        (('for row in self._rows(assets, "MD5"):', "for row in ():"),),
        (f"{ADOPTION}::test_a_row_that_somebody_made_after_we_had_sent_is_taken",),
    ),
    Mutation(
        "no look-up before sending",
        "engine/rows/rows.py",
        (('rows = self._rows(table, "MD5", sorted(md5s, key=str))', "rows: list[Row] = []"),),
        (f"{ADOPTION}::test_what_is_there_under_another_name_of_an_object_is_not_sent",),
    ),
    Mutation(
        "adopted without comparing what is said",
        "core/rows/adoption.py",
        (("        else:\n            return None\n", "        else:\n            added += 1\n"),),
        (f"{ADOPTION}::test_another_value_makes_another_asset_with_a_version_of_its_own",),
    ),
    Mutation(
        "adopted without a HEAD of the object",
        "engine/rows/rows.py",
        (('            self._verify(record, row["URL"])\n', "            pass\n"),),
        (f"{ADOPTION}::test_a_row_whose_object_is_gone_is_no_proof",),
    ),
    Mutation(
        "two versions of one content at large",
        "engine/uploader.py",
        (("    if record.size_bytes:\n        return key\n", ""),),
        (f"{TWO}::test_one_that_comes_between_any_two_calls_of_another_doubles_nothing",),
    ),
    Mutation(
        "a name that has content is written over",
        "edges/server/hatrac.py",
        (('else {"If-None-Match": "*"}', "else {}"),),
        (f"{HATRAC}::test_a_name_with_content_is_not_taken_by_accident",),
    ),
    Mutation(
        "a claimed lease is claimed again",
        "engine/rows/writer.py",
        (("if item.given_rid and item not in there]", "if not item]"),),
        (f"{WRITER}::test_rows_whose_answer_was_lost_are_found_by_their_rids",),
    ),
    Mutation(
        "a new lease is trusted again after a lost answer",
        "engine/rows/writer.py",
        (
            (
                "trusting=trusting and next(attempts) == 0)",
                "trusting=trusting and next(attempts) < 9)",
            ),
        ),
        (f"{WRITER}::test_new_rids_are_looked_up_once_an_answer_is_lost",),
    ),
    Mutation(
        "a lease is used before the journal has it",
        "engine/rows/row_batches.py",
        (("            self._keep(batch, on_the_way, sent=False)\n", ""),),
        (f"{TABLE_CRASHES}::test_a_crash_doubles_no_row",),
    ),
    Mutation(
        "the RID of an Execution is used before the journal has it",
        "engine/rows/executions.py",
        (
            ('        self._note(upload, {"execution_rid": leased[name]})\n', ""),
            (
                "if upload.execution.status_set is None:",
                'if not self._note(upload, {"execution_rid": rid}):',
            ),
        ),
        (f"{DROP_CRASHES}::test_a_crash_makes_no_second_execution_and_loses_no_file",),
    ),
    Mutation(
        "a batch takes the files of another",
        "watch/batch_former.py",
        (("taken = set().union(*members.values())", "taken = set[str]()"),),
        (
            f"{DROPS}::test_names_that_come_later_are_another_batch_and_a_member_that_changes_reopens_its_own",
        ),
    ),
    Mutation(
        "nobody asks who has the files of a drop folder open",
        "watch/batch_former.py",
        (("batching.settle(found, asked, ", "batching.settle(found, replace(asked, open=()), "),),
        (f"{DROPS}::test_a_batch_waits_for_no_file_that_somebody_writes",),
    ),
    Mutation(
        "two rows of one upload job are not told of",
        "engine/uploader.py",
        (("        self.rows.compare(upload, self._by_job(upload, stored))\n", ""),),
        (f"{TWO}::test_two_upload_jobs_may_make_two_rows_and_a_person_is_told",),
    ),
    Mutation(
        "two rows without a key are not told of",
        "engine/rows/duplicate_rows.py",
        (("    if others := _without_its_own(upload, plan, alike):", "    if others := []:"),),
        (f"{TWO}::test_rows_without_a_key_may_be_doubled_and_a_person_is_told",),
    ),
    Mutation(
        "a POST is sent again behind our back",
        "edges/server/adapter.py",
        (
            (
                "    total=1, connect=0, read=1,",
                "    total=1, connect=0, read=1, allowed_methods=None,",
            ),
        ),
        (f"{DERIVA}::test_a_post_is_never_sent_again",),
    ),
    # ------------------------------------------------------------ nothing lost
    Mutation(
        "an upload job without its MD5",
        "edges/server/hatrac.py",
        (('            "content-md5": _base64(head.md5),\n', ""),),
        (f"{HATRAC}::test_a_hole_is_refused_and_can_be_filled",),
    ),
    Mutation(
        "a PUT without its MD5",
        "edges/server/hatrac.py",
        (('            "Content-MD5": _base64(head.md5),\n', ""),),
        (f"{HATRAC}::test_other_bytes_than_were_hashed_are_refused",),
    ),
    Mutation(
        "no look at the file after it was sent",
        "engine/files/depositor.py",
        (("            source.verify()\n", ""),),
        (f"{STORE}::test_a_file_that_changes_while_it_is_sent_starts_over",),
    ),
    Mutation(
        "no look at the file after it was read",
        "engine/files/files.py",
        (
            (
                "        self.naming.verify(upload, asset)\n        if found.size_bytes",
                "        if found.size_bytes",
            ),
        ),
        (
            "tests/engine/files/test_moving_files.py::test_a_file_that_changes_while_it_is_hashed_starts_over",
        ),
    ),
    Mutation(
        "a chunk is noted before it is acknowledged",
        "engine/files/upload_jobs.py",
        (
            (
                "            self._send(chunks, number, body, content.moved)\n",
                (
                    "            chunks.note(number, lambda job: self._note(record, job))\n"
                    "            self._send(chunks, number, body, content.moved)\n"
                ),
            ),
        ),
        (f"{STORE}::test_a_job_goes_on_at_the_first_chunk_that_was_not_acknowledged",),
    ),
    Mutation(
        "a chunk is sent by two threads",
        "engine/files/upload_jobs.py",
        (
            (
                "deque(number for number in range(count) if number not in self._done)",
                "deque([*range(count)] * 2)",
            ),
        ),
        (f"{STREAM}::test_the_chunks_of_one_file_use_several_connections",),
    ),
    Mutation(
        "a row is sent before the journal has the URL of its object",
        "engine/uploader.py",
        (
            (
                "                self.files.settle_stored(upload, each.running)\n",
                (
                    "                for future in each.running.futures:\n"
                    "                    upload.apply(future.result())\n"
                ),
            ),
        ),
        (f"{STREAM}::test_the_url_of_an_object_is_in_the_journal_before_its_row_is_sent",),
    ),
    Mutation(
        "nobody claims a version before the journal has it",
        "engine/files/depositor.py",
        (("            self._claims[record.id] = _Claim(url, asset.statement())\n", ""),),
        (f"{STORE}::test_empty_files_of_one_name_that_are_sent_at_once_get_a_version_each",),
    ),
    Mutation(
        "one unit has all the turns",
        "engine/fair_pool.py",
        (("            self._tasks.move_to_end(owner)\n", "            pass\n"),),
        (f"{POOL}::test_owners_take_turns_and_each_keeps_its_order",),
    ),
    Mutation(
        "large files starve",
        "engine/fair_pool.py",
        (("        self._turns.reverse()\n", ""),),
        (f"{POOL}::test_small_work_does_not_starve_large_work",),
    ),
    Mutation(
        "the job of another content is gone on with",
        "engine/files/upload_jobs.py",
        (('if old and (old["md5"], old["name"]) == (head.md5, head.name):', "if old:"),),
        (f"{STORE}::test_the_job_of_a_content_that_is_no_more_is_cancelled",),
    ),
    Mutation(
        "a batch is not split where one row is bad",
        "engine/rows/writer.py",
        (("if len(batch) > 1 and is_for_one:", "if len(batch) > 9999 and is_for_one:"),),
        (f"{WRITER}::test_a_bad_row_is_refused_alone",),
    ),
    Mutation(
        "an unknown column is sent",
        "edges/server/catalog.py",
        (
            (
                "if unknown := sorted(set(given) - definition.column.keys()):",
                "if unknown := sorted(set(given) - set(given)):",
            ),
        ),
        (
            "tests/edges/server/test_catalog.py::test_an_unknown_column_is_refused_before_anything_is_sent",
        ),
    ),
    Mutation(
        "a given RID is not kept",
        "edges/server/catalog.py",
        (('"&nondefaults=RID" if given_rids else ""', '""'),),
        ("tests/edges/server/test_catalog.py::test_a_given_rid_is_kept",),
    ),
    # ------------------------------------------------------------ the journal
    Mutation(
        "a journal write that fails is ignored",
        "edges/journal/writer.py",
        (("batch[0].result.set_exception(error)", "batch[0].result.set_result([0])"),),
        (f"{JOURNAL}::test_one_bad_change_undoes_its_whole_commit",),
    ),
    Mutation(
        "events go out before the commit",
        "edges/journal/writer.py",
        (
            (
                "                changes.write()\n",
                """                changes.write()
                for event in changes.events:
                    self._report(event)
""",
            ),
            (
                """        for event in changes.events:
            self._report(event)
        for request, result""",
                "        for request, result",
            ),
        ),
        (JOURNAL_CRASH,),
    ),
    Mutation(
        "a commit is answered before it is durable",
        "edges/journal/database/sqlite.py",
        (("synchronous=FULL", "synchronous=OFF"),),
        (f"{JOURNAL_FILE}::test_a_commit_reaches_the_disk_before_it_is_answered",),
    ),
    Mutation(
        "a request is answered before it is durable",
        "edges/journal/writer.py",
        (
            (
                "                changes.write()\n",
                """                changes.write()
                for request, result in zip(batch, results, strict=True):
                    request.result.set_result(result)
""",
            ),
            (
                """            self._report(event)
        for request, result in zip(batch, results, strict=True):
            request.result.set_result(result)
""",
                "            self._report(event)\n",
            ),
        ),
        (f"{JOURNAL_CRASH}::test_a_full_disk_stops_the_unit_that_writes_and_nothing_else",),
    ),
    Mutation(
        "rows of a transaction that fails are remembered as it would have left them",
        "edges/journal/writer.py",
        (
            ("        changes.remember()\n", ""),
            (
                "                changes.write()\n",
                "                changes.write()\n                changes.remember()\n",
            ),
        ),
        (f"{JOURNAL_CRASH}::test_a_full_disk_stops_the_unit_that_writes_and_nothing_else",),
    ),
    Mutation(
        "what was submitted waits for others also while the journal is idle",
        "edges/journal/writer.py",
        (("due_s = self._written_s + TOGETHER_S", "due_s = time.monotonic() + TOGETHER_S"),),
        (f"{JOURNAL}::test_what_is_submitted_while_the_journal_is_idle_is_written_at_once",),
    ),
    Mutation(
        "every stop counts as a clean one",
        "edges/journal/database/clean_stop.py",
        (("bool(left) and left == note(journal, journal.stat().st_ino)", "bool(left)"),),
        (f"{JOURNAL_FILE}::test_a_journal_that_anybody_touched_since_is_checked",),
    ),
    Mutation(
        "the note of a clean stop outlives the next start",
        "edges/journal/database/lock.py",
        (
            (
                "os.ftruncate(descriptor, os.pwrite(descriptor, own, 0))",
                "os.pwrite(descriptor, own, 0)",
            ),
        ),
        (f"{JOURNAL_FILE}::test_a_kill_at_any_moment_leaves_no_note_but_that_of_a_clean_stop",),
    ),
    Mutation(
        "the history of units that are not at rest is deleted",
        "edges/journal/pruning.py",
        (("                at_rest,\n", ""),),
        (f"{PRUNING}::test_what_is_younger_or_not_at_rest_keeps_all_of_it",),
    ),
    Mutation(
        "the line that says that a file came in is deleted",
        "edges/journal/pruning.py",
        (("FileState.STORED, FileState.RECORDED)", "FileState.RECORDED, FileState.LINKED)"),),
        (f"{PRUNING}::test_the_steps_of_old_uploads_go_and_how_each_file_ended_stays",),
    ),
    Mutation(
        "an illegal move is written",
        "core/states.py",
        (
            (
                "        raise IllegalTransitionError(message) from None\n",
                "        del message\n        return state\n",
            ),
        ),
        (f"{JOURNAL}::test_one_bad_change_undoes_its_whole_commit",),
    ),
    Mutation(
        "what a file was told to wait for outlives its wait",
        "edges/journal/transaction.py",
        (("facts = {**_UNSAID, **_OF_ONE_STAY, **", "facts = {**"),),
        (f"{JOURNAL}::test_a_sentence_and_a_time_last_until_the_next_move",),
    ),
    Mutation(
        "the claims of a dead daemon stay",
        "edges/journal/transaction.py",
        (
            (
                "ExecutionTrigger.INTERRUPTED) for i in numbers])",
                "ExecutionTrigger.INTERRUPTED) for i in []])",
            ),
        ),
        (f"{JOURNAL}::test_claims_of_a_dead_daemon_are_void",),
    ),
    Mutation(
        "a claim takes what is taken",
        "edges/journal/transaction.py",
        (
            (
                "select(execution.c.id).where(execution.c.state == ExecutionState.READY)",
                "select(execution.c.id).where(execution.c.state != ExecutionState.GONE)",
            ),
        ),
        (f"{JOURNAL}::test_no_execution_is_claimed_twice",),
    ),
    # ------------------------------------------------------------ the server is not harmed
    Mutation(
        "two catalog writers",
        "engine/rows/writer.py",
        (
            (
                "            self._queue.put(job)\n",
                "            threading.Thread(target=self._work, args=([job],)).start()\n",
            ),
        ),
        (f"{WRITER}::test_callers_at_once_share_a_request",),
    ),
    Mutation(
        "waits know no cap",
        "core/retry.py",
        (("min(retry_after_s or 0.0, policy.max_s)", "(retry_after_s or 0.0)"),),
        ("tests/core/test_retry.py",),
    ),
    Mutation(
        "the job of a content that is no more stays",
        "engine/files/upload_jobs.py",
        (("        else:\n            self.cancel(old)\n", ""),),
        (f"{STORE}::test_the_job_of_a_content_that_is_no_more_is_cancelled",),
    ),
    # ------------------------------------------------------------ nothing removed that is not safe
    Mutation(
        "removed without a last look",
        "edges/disk/removal.py",
        (("            self.check()\n            os.unlink", "            os.unlink"),),
        (f"{REMOVAL}::test_what_is_attacked_after_it_was_verified_stays_and_goes_back",),
    ),
    Mutation(
        "a file with two names is removed",
        "edges/disk/removal.py",
        (("    if found.st_nlink > 1:", "    if found.st_nlink > 9:"),),
        (f"{REMOVAL}::test_what_was_attacked_before_is_not_even_set_aside",),
    ),
    Mutation(
        "the time of the last change is not compared",
        "edges/disk/removal.py",
        (("found.st_ctime_ns != self._changed_ns", "found.st_ctime_ns < self._changed_ns"),),
        (f"{REMOVAL}::test_what_is_attacked_after_it_was_verified_stays_and_goes_back",),
    ),
    Mutation(
        "a folder is entered through a link",
        "edges/disk/open_folders.py",
        (("FOLDER | os.O_NOFOLLOW, dir_fd=folder)", "FOLDER, dir_fd=folder)"),),
        (f"{REMOVAL}::test_links_in_place_of_folders_are_not_entered",),
    ),
    Mutation(
        "a file is put back over another",
        "edges/disk/open_folders.py",
        (("_NOREPLACE: Final = 1 ", "_NOREPLACE: Final = 0 "),),
        (f"{REMOVAL}::test_both_files_are_kept_where_the_name_is_taken_meanwhile",),
    ),
    Mutation(
        "removed without reading it again",
        "cleanup/proof.py",
        (("if (found.md5, found.sha256) != (file.md5, file.sha256):", "if found is None:"),),
        (f"{REMOVER}::test_another_content_with_the_same_stamp_is_found_and_uploaded_again",),
    ),
    Mutation(
        "removed without asking the server",
        "cleanup/proof.py",
        (
            (
                "found = self.server_check.differences(self.model(), files, unit.links_to)",
                "found = dict[str, list[str]]()",
            ),
        ),
        (f"{REMOVER}::test_what_the_server_does_not_hold_stays_and_is_uploaded_again",),
    ),
    Mutation(
        "the journal does not know what is about to be removed",
        "cleanup/remover.py",
        (("self.journal.commit(begun)", "self.journal.commit([])"),),
        (f"{REMOVER}::test_a_crash_after_any_step_loses_nothing_and_the_next_process_ends_it",),
    ),
    Mutation(
        "an upload of today is removed today",
        "cleanup/scheduler.py",
        (('uptime_s - known["since_s"] >= drop.after_delay_s', "uptime_s >= 0"),),
        (f"{SCHEDULER}::test_nothing_goes_before_its_time_which_no_clock_but_uptime_tells",),
    ),
    # ------------------------------------------------------------ verifying again
    Mutation(
        "what differs is told at each verification",
        "daemon/reverification.py",
        (('if before.get("why") != said["why"]:', "if said:"),),
        (f"{REVERIFICATION}::test_a_difference_needs_a_person_and_is_told_once",),
    ),
    Mutation(
        "a verification that has begun holds up no upload",
        "daemon/reverification.py",
        (("            if not self._must_wait():\n                return", "            return"),),
        (f"{REVERIFICATION}::test_a_verification_waits_where_an_upload_begins_meanwhile",),
    ),
    Mutation(
        "a unit is accused of what was uploaded anew meanwhile",
        "daemon/reverification.py",
        (("(now.state, now.changed_at) == (unit.state, unit.changed_at)", "now"),),
        (f"{REVERIFICATION}::test_a_unit_that_changes_meanwhile_is_not_accused",),
    ),
    # ------------------------------------------------------------ looking on
    Mutation(
        "files that move are counted where they were",
        "edges/journal/transaction.py",
        (("self._file_counts.moved(before, after)", "pass"),),
        (f"{STANDING}::test_bytes_are_safe_or_pending",),
    ),
    Mutation(
        "all of an hour of sending counts as sent within the last minute",
        "core/stats/throughput.py",
        (("return 1.0 if sent.seconds <= after_s else", "return 1.0 if sent.seconds else"),),
        (
            f"{STANDING}::test_a_large_file_that_took_an_hour_does_not_count_as_sent_within_a_minute",
        ),
    ),
    # ------------------------------------------------------------ watching
    Mutation(
        "new folders are not watched",
        "edges/watching/emitter.py",
        (("if tree.recursive and is_folder and event.mask & _MAY_BE_NEW:", "if False:"),),
        (f"{WATCHER}::test_a_tree_made_at_once_is_watched_to_its_ends",),
    ),
    Mutation(
        "an overflow is not noticed",
        "edges/watching/hints.py",
        (("self.overflowed = True\n", "pass\n"),),
        (f"{WATCHER}::test_an_overflow_is_trouble_and_hints_go_on",),
    ),
    Mutation(
        "a folder is known by its path alone",
        "edges/watching/tree.py",
        (("return found.st_dev, found.st_ino if stays else 0", "return 0, 0"),),
        (f"{WATCHER}::test_a_root_that_was_replaced_is_watched_again",),
    ),
    Mutation(
        "what is not followed keeps its watches for ever",
        "edges/watching/followed.py",
        (("self._drop_spare(SPARE_WATCHES)", "pass"),),
        (f"{WATCHER}::test_what_is_let_go_keeps_its_watches_while_they_are_few",),
    ),
    Mutation(
        "too few watches are not told",
        "edges/watching/inotify_watches.py",
        (("self.exhausted, tree.complete = True, False", "pass"),),
        (f"{WATCHER}::test_a_root_that_lacked_watches_gets_them_once_there_are_some",),
    ),
    Mutation(
        "network file systems are believed",
        "edges/watching/observer_choice.py",
        (("if is_remote(kind):", "if False:"),),
        (f"{PROBE}::test_a_network_file_system_is_not_written_to",),
    ),
    Mutation(
        "inode numbers that are made up are believed",
        "edges/watching/mounts.py",
        (("return not _NUMBERS_ANEW.fullmatch(self.kind)", "return True"),),
        (f"{WATCHER}::test_made_up_inode_numbers_are_known_by_type_and_options",),
    ),
    Mutation(
        "a path does not stand for an inode number",
        "edges/disk/scanning/inodes.py",
        (
            (
                "return noted == found.st_ino or noted == path_number(path)",
                "return noted == found.st_ino",
            ),
        ),
        (f"{SCANNER}::test_files_are_opened_by_their_paths_where_inode_numbers_do_not_stay",),
    ),
    Mutation(
        "a try that is under way is cleared away",
        "edges/watching/probe.py",
        (("== os.geteuid():\n                    flock(descriptor, LOCK_EX | LOCK_NB)", "> -1:"),),
        (f"{PROBE}::test_what_a_killed_try_left_behind_is_cleared_away_by_the_next",),
    ),
    # ------------------------------------------------------------ lanes
    Mutation(
        "a lane that hangs gets another turn",
        "daemon/lanes.py",
        (("lane.is_busy, lane.began_s = True, time.monotonic()", "lane.began_s = 0.0"),),
        (f"{LANES}::test_a_lane_that_hangs_gets_nothing_new_and_the_others_go_on",),
    ),
    Mutation(
        "lanes that hang keep the others from their turns",
        "daemon/lanes.py",
        (("if each.began_s > now_s - SLOW_S]", "]"),),
        (f"{LANES}::test_more_lanes_than_threads_may_hang",),
    ),
    Mutation(
        "a lane starves",
        "daemon/lanes.py",
        (("sorted(due, key=lambda lane: lane.began_s)[:room]", "due[:room]"),),
        (f"{LANES}::test_lanes_that_always_have_something_to_do_take_turns",),
    ),
    Mutation(
        "a hang is the fault of the thread",
        "liveness.py",
        (("(now_s > pulse.due_s and pulse.about is None)", "now_s > pulse.due_s"),),
        ("tests/daemon/test_hangs.py::test_no_thread_is_accused_of_what_does_not_answer",),
    ),
    Mutation(
        "units of a closed root are uploaded",
        "daemon/workers.py",
        (("self.settings.server.name, self.hangs.closed | full)", "self.settings.server.name)"),),
        ("tests/daemon/test_workers.py::test_a_root_in_which_so_many_hang_gets_no_more",),
    ),
    Mutation(
        "the threads that read are used up by a root that hangs",
        "engine/fair_pool.py",
        (("if self._busy >= self._room():", "if self._busy >= self._threads:"),),
        (
            "tests/engine/test_fair_pool.py::test_threads_that_hang_at_a_root_are_replaced_until_they_go_on",
        ),
    ),
    Mutation(
        "a question that hangs is asked for ever",
        "watch/questions.py",
        (("if tries > TRIES or ", "if "),),
        (
            "tests/watch/test_questions.py::test_a_unit_whose_questions_always_hang_costs_two_threads",
        ),
    ),
    # ------------------------------------------------------------ taken too early
    Mutation(
        "a file that is open does not count",
        "core/completeness/completion.py",
        (("    if evidence.holders.open:", "    if False:"),),
        (f"{COMPLETION}::test_an_open_file_holds_whatever_else_is_said",),
    ),
    Mutation(
        "a partial file does not count",
        "core/completeness/completion.py",
        (("        if partial_quiet < needed:", "        if False:"),),
        (f"{LOOKOUT}::test_a_partial_file_holds_until_it_has_its_name",),
    ),
    Mutation(
        "the last look comes before the question for writers",
        "watch/evidence_history.py",
        (
            (
                "        seen = self.unit_reader.look(unit)\n        if seen is None:",
                "        seen = evidence.seen\n        if seen is None:",
            ),
        ),
        (f"{LOOKOUT}::test_what_a_writer_added_and_closed_between_look_and_question_is_seen",),
    ),
    Mutation(
        "a registered file does not count",
        "watch/evidence_history.py",
        (("missing := missing_files(said, seen)", "missing := []"),),
        (f"{LOOKOUT}::test_a_copy_that_brought_the_manifest_first_is_waited_for",),
    ),
    Mutation(
        "quiet is counted from the times of files",
        "watch/evidence_history.py",
        (
            (
                "still(self.content, seen.digest(), seen.looked_at)",
                "Since(seen.digest(), seen.changed_at())",
            ),
        ),
        (
            f"{LOOKOUT}::test_times_of_files_neither_hold_a_directory_nor_make_it_complete",
            f"{LOOKOUT}::test_a_file_that_gets_another_time_was_changed",
        ),
    ),
    Mutation(
        "a run ended with any machine",
        "core/completeness/evidence.py",
        (('at = before.get("looked_at") if is_this else None', 'at = before.get("looked_at")'),),
        (f"{LOOKOUT}::test_a_run_that_says_running_ended_with_its_machine",),
    ),
    Mutation(
        "what was hashed ahead counts for whatever the file has become",
        "engine/unit_upload.py",
        (
            (
                "known = self.ahead.get(entry.stamp)",
                "known = {s[2:]: known for s, known in self.ahead.items()}.get(entry.identity)",
            ),
        ),
        (f"{AHEAD}::test_what_was_hashed_while_filling_is_not_read_again_but_what_changed_is",),
    ),
    Mutation(
        "what was hashed ahead is not known to the upload",
        "pipeline/attempt.py",
        (("self.journal.digests(record.id)}", "()}"),),
        (f"{AHEAD}::test_what_was_hashed_while_filling_is_not_read_again_but_what_changed_is",),
    ),
    Mutation(
        "a file is hashed while somebody writes to it",
        "watch/prehash.py",
        (("if job.file.entry.path in found[str(job.disk.root)].open:", "if False:"),),
        (f"{AHEAD}::test_a_file_that_somebody_holds_open_is_read_once_it_is_closed",),
    ),
    # ------------------------------------------------------------ drop folders
    Mutation(
        "any row will do for a look-up",
        "core/drop/drop_values.py",
        (("if len(answer.found) == 1:", "if answer.found:"),),
        (f"{DROP}::test_none_or_several_rows_refuse_the_file_with_the_value_and_no_other",),
    ),
    Mutation(
        "the beginning of a path will do",
        "core/drop/drop_spec.py",
        (('_END: Final = r")\\Z"', '_END: Final = r")"'),),
        (f"{DROP}::test_the_whole_path_below_the_folder_must_fit",),
    ),
    Mutation(
        "values are asked for as often as files have them",
        "core/drop/drop_values.py",
        (("asked[column].add(text)", "asked[column].add(text + path)"),),
        (f"{DROP}::test_each_value_is_asked_for_once_and_only_where_a_file_needs_it",),
    ),
    Mutation(
        "what was moved away is dropped again",
        "core/drop/drop_folder.py",
        (('return self.after == "move" and path.startswith(f"{MOVED}/")', "return False"),),
        (f"{DROP_PLAN}::test_what_was_moved_away_is_not_planned_again",),
    ),
    Mutation(
        "refusals do not rest on how a drop folder is described",
        "pipeline/input_fingerprint.py",
        (("*(folder.model_dump_json() for folder in self.settings.drop),", ""),),
        (f"{DROP_PLAN}::test_a_folder_that_is_described_again_takes_up_what_did_not_fit",),
    ),
    # ------------------------------------------------------------ what other users say
    Mutation(
        "nobody owns something",
        "core/trust.py",
        ((" or by == of != OVERFLOW:", " or by == of:"),),
        ("tests/core/test_trust.py",),
    ),
    Mutation(
        "the workspaces of all users count",
        "pipeline/ownership.py",
        (("if why := disbelieved(each.owners):", "if why := None:"),),
        ("tests/pipeline/test_statements.py::test_any_other_counts_for_own_data_alone",),
    ),
    Mutation(
        "what was put in the place of a workspace is read",
        "edges/disk/foreign_database.py",
        (("    if os.fstat(descriptor).st_uid not in owners:", "    if False:"),),
        (f"{WORKSPACE}::test_one_that_somebody_puts_in_its_place_is_not_read",),
    ),
    Mutation(
        "the markers of all users count",
        "core/completeness/evidence.py",
        ((" and n not in disbelieved", ""),),
        (f"{COMPLETION}::test_a_marker_that_does_not_count_is_no_marker",),
    ),
    Mutation(
        "the links of all users count",
        "edges/disk/scanning/look.py",
        (("        if self._trusted is not None and (", "        if False and ("),),
        (f"{SCANNER}::test_a_link_of_somebody_else_is_ignored_wherever_it_leads",),
    ),
    # ------------------------------------------------------------ receipts and Unicode forms
    Mutation(
        "a receipt in a copied directory counts whatever it lists",
        "pipeline/prior_executions.py",
        (("self._contents(upload) == before.contents", "bool(self._contents(upload))"),),
        (f"{PRIOR}::test_a_copy_with_other_files_is_a_new_run_and_a_notice_says_why",),
    ),
    Mutation(
        "a receipt is believed which rows an Execution is linked to",
        "pipeline/prior_executions.py",
        (("is_same and self.executions.has(upload, before.execution, before.rids)", "is_same"),),
        (f"{PRIOR}::test_a_receipt_cannot_put_files_into_an_execution_that_does_not_have_them",),
    ),
    Mutation(
        "a file of the same name and size is the uploaded one",
        "pipeline/prior_executions.py",
        (("was != there.get(path)", "path not in there"),),
        (f"{PRIOR}::test_a_new_file_of_the_same_name_and_size_is_in_a_batch_of_its_own",),
    ),
    Mutation(
        "texts are compared exactly only",
        "core/unicode_forms.py",
        (('normalize("NFC", text)', "text"),),
        ("tests/engine/test_unicode_forms.py",),
    ),
)
