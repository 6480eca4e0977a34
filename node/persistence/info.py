"""INFO persistence, field by field in Redis' order.

While no child runs, what it would tell is zero.
"""

from __future__ import annotations

from node.persistence.aof.append_only import AofState, AppendOnly
from node.persistence.child import Child, ChildKind
from node.persistence.loading import Loader
from node.persistence.saving import Saver

Fields = list[tuple[str, object]]


def info(saver: Saver, append_only: AppendOnly, loader: Loader, child: Child) -> Fields:
    """The section's fields."""
    log, rewriter = append_only.log, append_only.rewriter
    saving = child.kind in (ChildKind.SNAPSHOT, ChildKind.REPLICAS)
    progress = child.progress if child.busy else None
    keys, total = (progress.keys, progress.total) if progress is not None else (0, 0)
    fields: Fields = [
        ("loading", int(loader.active and not loader.serving)),
        ("async_loading", int(loader.active and loader.serving)),
        ("current_cow_peak", progress.copied_peak_bytes if progress is not None else 0),
        ("current_cow_size", progress.copied_bytes if progress is not None else 0),
        ("current_cow_size_age", progress.look_age_s if progress is not None else 0),
        ("current_fork_perc", f"{100 * keys / total if total else 0:.2f}"),
        ("current_save_keys_processed", keys),
        ("current_save_keys_total", total),
        ("rdb_changes_since_last_save", saver.changes),
        ("rdb_bgsave_in_progress", int(saving)),
        ("rdb_last_save_time", saver.last_save_at_s),
        ("rdb_last_bgsave_status", "ok" if saver.succeeded else "err"),
        ("rdb_last_bgsave_time_sec", saver.last_duration_s),
        ("rdb_current_bgsave_time_sec", saver.under_way_s),
        ("rdb_saves", saver.saves),
        ("rdb_last_cow_size", child.snapshot_copied_bytes),
        ("rdb_last_load_keys_expired", loader.keys_expired),
        ("rdb_last_load_keys_loaded", loader.keys_loaded),
        ("aof_enabled", int(append_only.state is not AofState.OFF)),
        ("aof_rewrite_in_progress", int(child.kind is ChildKind.REWRITE)),
        ("aof_rewrite_scheduled", int(append_only.scheduled)),
        ("aof_last_rewrite_time_sec", rewriter.last_duration_s),
        ("aof_current_rewrite_time_sec", rewriter.under_way_s),
        ("aof_last_bgrewrite_status", "ok" if rewriter.succeeded else "err"),
        ("aof_rewrites", rewriter.rewrites),
        ("aof_rewrites_consecutive_failures", rewriter.failures),
        ("aof_last_write_status", "ok" if log.ok else "err"),
        ("aof_last_cow_size", child.base_copied_bytes),
        ("module_fork_in_progress", 0),
        ("module_fork_last_cow_size", 0),
    ]
    if append_only.state is not AofState.OFF:
        fields += [
            ("aof_current_size", rewriter.size),
            ("aof_base_size", rewriter.size_at_rewrite),
            ("aof_pending_rewrite", int(append_only.scheduled)),
            ("aof_buffer_length", log.buffered),
            ("aof_pending_bio_fsync", int(log.syncing)),
            ("aof_delayed_fsync", log.delayed_syncs),
        ]
    if loader.active:
        fields += _loading(loader)
    return fields


def _loading(loader: Loader) -> Fields:
    total, loaded, elapsed_s = loader.total_bytes, loader.loaded_bytes, loader.elapsed_s
    return [
        ("loading_start_time", loader.started_at_s),
        ("loading_total_bytes", total),
        ("loading_rdb_used_mem", loader.target.used_memory if loader.target is not None else 0),
        ("loading_loaded_bytes", loaded),
        ("loading_loaded_perc", f"{100 * loaded / total if total else 0:.2f}"),
        # Redis' guess for as long as it can make none.
        ("loading_eta_seconds", elapsed_s * (total - loaded) // loaded if elapsed_s and loaded else 1),
    ]
