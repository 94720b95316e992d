"""Order, bounds and ends of the pipeline, whatever the threads do."""

import threading
import time

import pytest

from llmapp.catalog.records import DocumentRecord
from llmapp.ingestion.pipeline import Bounds, Pipeline
from llmapp.ingestion.preparing import DocumentFailedError, Job, Prepared, Stamp
from llmapp.types import Document

STAMP = Stamp(None, "", (), own_acl=False)


def job(name, size_bytes=10):
    return Job(Document(id=name, uri=name, text="x"), STAMP, b"x" * size_bytes, "", is_new=True)


class Crew:
    """Notes what happens to documents; a text for each chunk that a document is to have."""

    def __init__(self, *, chunks=1, prepare=None, land=None):
        self.landed, self.failed, self.batches = [], [], []
        self.preparing = self.most_preparing = 0
        self._lock = threading.Lock()
        self._chunks = chunks
        self._prepare = prepare or (lambda job: None)
        self._land = land or (lambda documents: None)

    def prepare(self, job):
        with self._lock:
            self.preparing += 1
            self.most_preparing = max(self.most_preparing, self.preparing)
        try:
            self._prepare(job)
        finally:
            with self._lock:
                self.preparing -= 1
        record = DocumentRecord("s", job.document.id, "", "", "", (), None, {}, (), None, "", "")
        return Prepared(record, tuple("x" * self._chunks), True, len(job.content))

    def land(self, documents):
        names = [document.record.document_id for document in documents]
        self._land(names)
        self.batches.append(names)
        self.landed += names

    def fail(self, job, error):
        self.failed.append((job.document.id, error.reason))


def names(count):
    return [f"d{number}" for number in range(count)]


def test_documents_land_in_the_order_in_which_they_were_handed_in():
    crew = Crew(prepare=lambda job: time.sleep(0.02 if job.document.id in {"d0", "d3"} else 0))
    with Pipeline(crew, Bounds(workers=4, batch_chunks=2)) as pipeline:
        for name in names(9):
            pipeline.submit(job(name))
    assert crew.landed == names(9)
    assert max(len(batch) for batch in crew.batches) <= 2


def test_an_action_runs_when_all_before_it_has_landed_and_nothing_after_it():
    crew, seen = Crew(), []
    with Pipeline(crew, Bounds(batch_chunks=100)) as pipeline:
        for name in names(5):
            pipeline.submit(job(name))
        pipeline.then(lambda: seen.append(list(crew.landed)))
        pipeline.submit(job("later"))
    assert seen == [names(5)]
    assert crew.landed == [*names(5), "later"]


def test_draining_waits_for_everything():
    crew = Crew(prepare=lambda _: time.sleep(0.01))
    with Pipeline(crew, Bounds()) as pipeline:
        for name in names(4):
            pipeline.submit(job(name))
            assert name in pipeline or name in crew.landed
        pipeline.drain()
        assert crew.landed == names(4)
        assert "d0" not in pipeline


def test_no_more_is_under_way_than_the_bounds_allow():
    under_way = []
    crew = Crew(land=lambda _: under_way.append(sum(pipeline._under_way.values())))
    with Pipeline(crew, Bounds(batch_chunks=1000, content_bytes=100, documents=50)) as pipeline:
        for name in names(40):
            pipeline.submit(job(name, 30))
            assert sum(pipeline._under_way.values()) <= 100
    assert crew.landed == names(40)
    assert max(under_way) <= 100


def test_a_document_larger_than_the_bounds_goes_alone():
    crew = Crew()
    with Pipeline(crew, Bounds(content_bytes=100)) as pipeline:
        for name, size in (("a", 10), ("large", 1000), ("b", 10)):
            pipeline.submit(job(name, size))
            assert name != "b" or "large" not in pipeline
    assert crew.landed == ["a", "large", "b"]


def test_documents_are_prepared_side_by_side_and_no_more_than_there_are_workers():
    crew = Crew(prepare=lambda _: time.sleep(0.02))
    with Pipeline(crew, Bounds(workers=3)) as pipeline:
        for name in names(12):
            pipeline.submit(job(name))
    assert crew.most_preparing == 3


def test_a_document_that_fails_is_told_of_in_its_place_and_the_rest_goes_on():
    def picky(job):
        if job.document.id == "d1":
            raise DocumentFailedError("parse", "parse_failed", "broken")

    crew = Crew(prepare=picky)
    with Pipeline(crew, Bounds()) as pipeline:
        for name in names(3):
            pipeline.submit(job(name))
    assert crew.failed == [("d1", "broken")]
    assert crew.landed == ["d0", "d2"]


class StopError(Exception):
    pass


def broken(_):
    raise StopError


@pytest.mark.parametrize("crew", [Crew(land=broken), Crew(prepare=broken)], ids=["land", "prepare"])
def test_what_stops_the_landing_reaches_whoever_hands_in_and_no_action_runs(crew):
    seen = []

    def hand_in():
        with Pipeline(crew, Bounds(batch_chunks=1)) as pipeline:
            pipeline.submit(job("first"))
            pipeline.then(lambda: seen.append("reached"))
            for name in names(10_000):
                pipeline.submit(job(name))

    with pytest.raises(StopError):
        hand_in()
    assert (seen, crew.landed) == ([], [])


def test_an_error_of_whoever_hands_in_drops_what_is_under_way_and_lets_the_current_batch_land():
    started, go_on = threading.Event(), threading.Event()

    def slow(_):
        started.set()
        go_on.wait(5)

    crew = Crew(land=slow)

    def hand_in():
        with Pipeline(crew, Bounds(batch_chunks=1)) as pipeline:
            for name in names(3):
                pipeline.submit(job(name))
            started.wait(5)
            threading.Timer(0.05, go_on.set).start()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        hand_in()
    assert crew.landed == ["d0"]


def test_a_slow_source_does_not_keep_a_batch_waiting(monkeypatch):
    monkeypatch.setattr("llmapp.ingestion.pipeline._IDLE_S", 0.01)
    crew = Crew()
    with Pipeline(crew, Bounds(batch_chunks=1000)) as pipeline:
        pipeline.submit(job("a"))
        for _ in range(500):
            if crew.landed:
                break
            time.sleep(0.01)
        assert crew.landed == ["a"]


def test_what_embedding_costs_is_counted_where_the_run_was_begun():
    from llmapp.costs.spending import count, counted

    crew = Crew(land=lambda _: count(7))
    with counted() as spending, Pipeline(crew, Bounds(batch_chunks=1)) as pipeline:
        for name in names(3):
            pipeline.submit(job(name))
    assert spending.nano_usd == 21
