"""The names of `llmapp.prompting`."""

import subprocess
import sys
from importlib import import_module

import pytest

import llmapp.prompting as library
from llmapp.prompting import views


def test_every_public_name_is_there_and_sorted():
    assert library.__all__ == sorted(library.__all__, key=lambda name: (not name.isupper(), name))
    assert dir(library) == sorted(library.__all__)
    for name in library.__all__:
        assert getattr(library, name).__doc__


@pytest.mark.parametrize("name", views.__all__)
def test_every_view_is_there_by_its_documented_name_whatever_was_imported_before(name):
    import_module("llmapp.prompting.views.bars")
    assert getattr(views, name).__doc__
    assert callable(getattr(views, name))


def test_a_view_that_is_none_is_the_error_of_the_language():
    with pytest.raises(AttributeError, match="pages"):
        views.pages  # noqa: B018


def test_an_unknown_name_is_the_error_of_the_language():
    with pytest.raises(AttributeError, match="Assembly"):
        library.Assembly  # noqa: B018


def test_importing_it_loads_nothing():
    program = (
        "import sys; import llmapp.prompting\n"
        "loaded = [name for name in sys.modules if name.startswith('llmapp.prompting.')]\n"
        "assert not loaded and 'numpy' not in sys.modules and 'jinja2' not in sys.modules, loaded\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
