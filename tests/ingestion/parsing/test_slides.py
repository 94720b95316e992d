import io
import zipfile

import pytest

from llmapp.errors import ParseError
from llmapp.ingestion.parsing.slides import slides

NAMES = " ".join(
    f'xmlns:{short}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
    for short, name in {"d": "drawing", "t": "text", "tb": "table", "p": "presentation", "o": "office"}.items()
)


def odp(body, *, head=""):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("mimetype", "application/vnd.oasis.opendocument.presentation")
        opened.writestr("content.xml", f"{head}<o:document-content {NAMES}>{body}</o:document-content>")
    return file.getvalue()


def test_a_slide_is_a_heading_and_its_text():
    frame = '<d:frame p:class="title"><t:p>Fees<t:s/>and <t:span>terms</t:span></t:p></d:frame>'
    assert slides(odp(f'<d:page d:name="Slide1">{frame}<d:frame><t:p>Below</t:p></d:frame></d:page>')) == (
        "## Fees and terms\n\nBelow"
    )


def test_a_slide_without_a_title_has_its_name():
    assert slides(odp('<d:page d:name="Slide7"><t:p>Text</t:p></d:page><d:page d:name="Empty"/>')) == "## Slide7\n\nText"


def test_a_table_has_rows():
    cells = "<tb:table-cell><t:p>A|B</t:p></tb:table-cell><tb:covered-table-cell/>"
    table = f"<tb:table><tb:table-row>{cells}</tb:table-row><tb:table-row>{cells}</tb:table-row></tb:table>"
    assert slides(odp(f"<d:page>{table}</d:page>")) == "| A\\|B |  |\n| --- | --- |\n| A\\|B |  |"


def test_entities_that_grow_are_refused():
    head = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    with pytest.raises(ParseError, match="document type"):
        slides(odp("<t:p>&b;</t:p>", head=head))


@pytest.mark.usefixtures("short_of_time")
def test_deep_nesting_costs_nothing():
    assert slides(odp("<t:span>" * 200_000 + "<t:p>deep</t:p>" + "</t:span>" * 200_000)) == "deep"


@pytest.mark.parametrize("content", [odp("<t:p>"), b"PK\x03\x04", odp("x")[:-30]])
def test_broken_files_are_refused(content):
    with pytest.raises(ParseError):
        slides(content)
