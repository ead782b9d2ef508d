"""What Prometheus reads of this server: counted here as it happens, measured when it is asked for.

Labels are few and bounded: routes by their template, operations by the first names that are seen. Where several
processes serve, each counts in a file of its own in a folder that they share, and whichever is asked adds them up.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from app.services import document_bodies, live
from app.storage import db
from app.storage.backlog import Backlog

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
MOST_OPERATIONS: Final = 200
OTHER: Final = "(other)"
UNNAMED: Final = "(unnamed)"
_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
_BUCKETS: Final = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_plain_name = re.compile(r"[_A-Za-z]\w{0,63}", re.ASCII).fullmatch


def share(folder: Path) -> None:
    """Have this process, and those that it forks, count in files of ``folder``; before the first ``Metrics``."""
    os.environ[_FOLDER] = str(folder)
    values.ValueClass = values.get_value_class()  # type: ignore[no-untyped-call]


def forget(pid: int) -> None:
    """Take what only a living process has, as its connections, out of the shared figures."""
    mark_process_dead(pid)  # type: ignore[no-untyped-call]


class Metrics:
    """The figures of one server process."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._shared = _FOLDER in os.environ
        self._requests = Counter(
            "strata_http_requests", "Requests answered.", ("method", "route", "status"), registry=registry
        )
        self._request_seconds = Histogram(
            "strata_http_request_seconds",
            "Time to answer a request, its body included.",
            ("method", "route"),
            registry=registry,
            buckets=_BUCKETS,
        )
        self._operations = Counter(
            "strata_graphql_operations",
            f"GraphQL operations, by the first {MOST_OPERATIONS} names that a process sees.",
            ("operation", "type", "outcome"),
            registry=registry,
        )
        self._operation_seconds = Histogram(
            "strata_graphql_operation_seconds",
            "Time to execute a query or mutation.",
            ("operation",),
            registry=registry,
            buckets=_BUCKETS,
        )
        self._cache_reads = Counter(
            "strata_cache_reads", "Documents looked for among the merged ones.", ("result",), registry=registry
        )
        self._gauges = {name: self._gauge(name, text) for name, text in _GAUGES.items()}
        self._answers: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._names: set[str] = set()
        self.loop_lag = 0.0
        """By how many seconds the loop was last late."""

        self._seen = (0, 0)

    def _gauge(self, name: str, text: str) -> Gauge:
        mode: Final = "livemax" if name.endswith("_seconds") else "livesum"
        return Gauge(f"strata_{name}", text, registry=self._registry, multiprocess_mode=mode)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request. ``route`` is a template, or what stands for addresses that are none."""
        # Looking the two up by their labels costs more than counting does.
        known = self._answers.get((method, route, status))
        if known is None:
            shown = method if method in _METHODS else OTHER
            known = (self._requests.labels(shown, route, status), self._request_seconds.labels(shown, route))
            if shown == method:
                self._answers[method, route, status] = known
        requests, request_seconds = known
        requests.inc()
        request_seconds.observe(seconds)

    def executed(self, name: str | None, kind: str, seconds: float, *, failed: bool) -> None:
        """Count a GraphQL operation; ``kind`` is query, mutation or subscription."""
        name = self._bounded(name)
        self._operations.labels(name, kind, "error" if failed else "ok").inc()
        if kind != "subscription":
            self._operation_seconds.labels(name).observe(seconds)

    def _bounded(self, name: str | None) -> str:
        if not name:
            return UNNAMED
        if name not in self._names:
            if len(self._names) >= MOST_OPERATIONS or _plain_name(name) is None:
                return OTHER
            self._names.add(name)
        return name

    def sample(self) -> None:
        """Measure what is held by this process."""
        pool, cache = db.pool_figures(), document_bodies.merge_cache
        subscribers, connections, behind = live.figures()
        found = {
            "pool_connections": pool.open,
            "pool_connections_used": pool.used,
            "pool_connections_limit": pool.most,
            "pool_waiting": pool.waiting,
            "cache_bytes": cache.held,
            "cache_bytes_limit": cache.limit,
            "subscribers": subscribers,
            "subscriber_connections": connections,
            "events_unread": behind,
            "loop_lag_seconds": self.loop_lag,
        }
        for name, value in found.items():
            self._gauges[name].set(value)
        hits, misses = self._seen
        self._cache_reads.labels("hit").inc(max(0, cache.hits - hits))
        self._cache_reads.labels("miss").inc(max(0, cache.misses - misses))
        self._seen = (cache.hits, cache.misses)

    def written(self, backlog: Backlog | None) -> bytes:
        """Return all figures, of all processes, as Prometheus reads them; ``backlog`` is None without a database."""
        counted = self._registry
        if self._shared:
            counted = CollectorRegistry()
            MultiProcessCollector(counted)  # type: ignore[no-untyped-call]
        whole = CollectorRegistry()
        whole.register(_Waiting(backlog))
        return generate_latest(counted) + generate_latest(whole)


_GAUGES: Final = {
    "pool_connections": "Database connections that are open.",
    "pool_connections_used": "Database connections in use.",
    "pool_connections_limit": "Database connections that may be open.",
    "pool_waiting": "Tasks that wait for a database connection.",
    "cache_bytes": "Memory held by merged documents.",
    "cache_bytes_limit": "Memory that merged documents may hold.",
    "subscribers": "Subscriptions and event streams that are followed.",
    "subscriber_connections": "Connections that follow something.",
    "events_unread": "Versions of followed projects whose events have yet to be read.",
    "loop_lag_seconds": "By how much the event loop was last late: something kept it busy.",
}


class _Waiting(Collector):
    def __init__(self, backlog: Backlog | None) -> None:
        self._backlog = backlog

    def collect(self) -> Iterator[Metric]:
        """Give what the database says, once for all processes."""
        found = self._backlog
        yield GaugeMetricFamily("strata_database_up", "1 if the database answers.", int(found is not None))
        if found is None:
            return
        jobs = GaugeMetricFamily("strata_jobs", "Background jobs by status.", labels=("status",))
        for status in ("queued", "picked", "failed"):
            jobs.add_metric((status,), found.jobs.get(status, 0))
        yield jobs
        yield GaugeMetricFamily("strata_jobs_due_seconds", "For how long the oldest due job waits.", found.job_seconds)
        yield GaugeMetricFamily("strata_webhook_messages", "Messages to webhooks yet to arrive.", found.messages)
        yield GaugeMetricFamily(
            "strata_webhook_messages_seconds", "Age of the oldest message yet to arrive.", found.message_seconds
        )
        yield GaugeMetricFamily(
            "strata_outbox_lag", "Versions that the webhook furthest behind has yet to be told of.", found.outbox_lag
        )
