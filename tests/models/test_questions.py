import pytest

from llmapp.models.questions import Question, terms


def test_words_lose_their_endings_accents_and_case():
    assert terms("Claims, claimed, CLAIMING") == terms("claim")
    assert terms("Café") == terms("cafe")
    assert terms("employees") == terms("employed")
    assert terms("10,000 and 3.5") == {"10000", "3.5"}


@pytest.mark.parametrize(
    ("question", "with_form", "without"),
    [
        ("Who do I call about hail?", "Call +49 69 90009 400.", "Call us on 14 March 2025."),
        ("What is the fax number?", "Fax 555-0134", "The fax is broken."),
        ("What is the email of the officer?", "privacy@firm.example", "He reads e-mail."),
        ("What are the opening hours?", "8:00 to 18:00", "We close at 12:00."),
        ("Which hours does it keep? Opening hours, please", "from 8 to 18:00", "For 72 hours."),
        ("When is the desk open?", "From 9 am", "On Saturdays."),
    ],
)
def test_some_kinds_are_known_by_their_form(question, with_form, without):
    asked = Question(question)
    assert asked.form is not None
    assert asked.found_in(with_form)
    assert not asked.found_in(without)


def test_within_how_many_hours_asks_for_a_number_and_not_for_opening_hours():
    asked = Question("Within how many hours must a burglary be reported?")
    assert asked.form is None
    assert asked.found_in("within 72 hours")


def test_words_that_name_the_form_need_not_stand_beside_it():
    assert Question("email address of the officer").words == terms("officer")
    assert Question("What is your e-mail address?").words
