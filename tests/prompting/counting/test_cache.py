from llmapp.prompting.counting import BpeCounter


def test_a_text_is_counted_once_and_then_remembered():
    counter = BpeCounter()
    text = "Wasserschäden werden binnen 72 Stunden gemeldet. " * 2_000
    first = counter.count(text)
    counter._cached._count = None
    assert counter.count(text) == first


def test_the_cache_forgets_the_least_recently_used_text():
    counter = BpeCounter()
    counter._cached._max_entries = 2
    for text in ("one", "two", "one", "three"):
        counter.count(text)
    assert len(counter._cached._counts) == 2
    calls = []
    counter._cached._count = lambda text: calls.append(text) or 1
    counter.count("one")
    counter.count("two")
    assert calls == ["two"]
