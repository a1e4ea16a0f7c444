"""The text extracted from each document format, and the files refused."""

from __future__ import annotations

from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rdr_qdrant.readers.documents.document import (
    MAX_CHARACTERS,
    ConvertedDocument,
    DocumentError,
)
from rdr_qdrant.readers.documents.formats import DOCUMENT_FORMATS
from rdr_qdrant.readers.documents.pdf_layout import undo_layout
from tests.support import documents


def read(suffix: str, data: str | bytes) -> ConvertedDocument:
    return DOCUMENT_FORMATS[suffix].convert(
        BytesIO(data.encode() if isinstance(data, str) else data)
    )


def text(suffix: str, data: str | bytes) -> str:
    [page] = read(suffix, data).pages
    return page


def reason(suffix: str, data: str | bytes) -> str:
    with pytest.raises(DocumentError) as raised:
        read(suffix, data)
    return str(raised.value)


# Plain text


def test_plain_text_is_kept_with_line_feeds() -> None:
    assert read(".txt", "\ufeffthe river\r\nand  the king\r") == ConvertedDocument(
        "", ["the river\nand  the king\n"]
    )


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"abc\xff", "not valid UTF-8: byte 4"),
        (b"\xef\xbb\xbfab\xff", "not valid UTF-8: byte 6"),
        ("the river".encode("utf-16-le"), "not text: character 2 is a null"),
        (b"\xff\xfea\x00\x00\xd8", "not valid UTF-16-LE: byte 5"),
        (b"\xfe\xff\x00ab", "not valid UTF-16-BE: byte 5"),
        (b"a\x00b", "not text: character 2 is a null"),
        (documents.pdf(["river"]), "not text: its first bytes are those of PDF"),
        (documents.docx(["river"]), "not text: its first bytes are those of ZIP"),
        (b" \n\t ", "no text found"),
    ],
)
def test_binary_files_are_named(data: bytes, said: str) -> None:
    for suffix in (".txt", ".md", ".html"):
        assert said in reason(suffix, data)


@pytest.mark.parametrize("suffix", [".txt", ".md", ".html"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be", "utf-32", "utf-32-be"])
def test_a_byte_order_mark_tells_the_encoding(suffix: str, encoding: str) -> None:
    mark = "\ufeff" if encoding.endswith("be") else ""
    assert text(suffix, f"{mark}Größe 😀".encode(encoding)).strip() == "Größe 😀"


def test_more_text_than_can_be_handled_is_refused() -> None:
    assert "more text than" in reason(".txt", "a" * (MAX_CHARACTERS + 1))


def test_control_characters_become_spaces() -> None:
    assert text(".txt", "a\x1b[31mb\x07c") == "a [31mb c"


# HTML


def test_html_is_its_visible_text() -> None:
    page = read(
        ".html",
        """<!DOCTYPE html><html><head><title>The  &amp; Title</title><style>p {x: y}</style>
        <script>if (a < b) alert("<p>no</p>")</script></head><body><h1>A <b>heading</b></h1>
        <p>Text&nbsp;&eacute; <i>in</i>line<br>next</p><ul><li>one<li>two</ul>
        <noscript>no</noscript><template><p>no</p></template><svg><title>no</title></svg>
        <!-- no --><table><tr><td>1<td>2<tr><td><p>3</p></td> <td>4</td></table>
        <pre>a\n  b</pre></body></html>""",
    )
    assert page.title == "The & Title"
    assert page.pages[0].split("\n") == [
        "A heading",
        "",
        "Text é inline",
        "next",
        "",
        "one",
        "two",
        "",
        "1\t2",
        "3\t4",
        "",
        "a",
        "  b",
    ]


def test_the_first_heading_is_the_title_where_there_is_no_other() -> None:
    assert read(".html", "<h2> A <i>b</i></h2><h1>c</h1><p>d").title == "A b"
    assert read(".html", "<p>d").title == ""
    assert len(read(".html", f"<title>{'word ' * 100}</title><p>d").title) < 300


@pytest.mark.parametrize("declared", ["windows-1252", "ISO-8859-1", "latin1"])
def test_html_may_declare_its_encoding(declared: str) -> None:
    page = f'<meta charset="{declared}"><p>caf\xe9 \x93x\x94'.encode("latin-1")
    assert text(".html", page) == "café “x”"


@pytest.mark.parametrize(
    ("labels", "codec", "word"),
    [
        ("gb2312 GBK gb_2312-80 x-gbk chinese gb18030", "gb18030", "朱镕基总理 — 丂"),
        ("shift_jis Shift-JIS sjis x-sjis ms_kanji windows-31j", "cp932", "第①章 ～ 髙橋"),
        ("iso-2022-jp csISO2022JP", "iso2022_jp_ext", "日本 ｶﾅ"),
        ("euc-kr ks_c_5601-1987 korean windows-949", "cp949", "똠방각하"),
        ("big5 big5-hkscs cn-big5 x-x-big5", "big5hkscs", "喺香港 ①"),
        ("iso-8859-9 latin5 windows-1254", "cp1254", "“Türkçe” — tırnak"),
        ("iso-8859-11 tis-620 windows-874", "cp874", "“ไทย” …"),
        ("iso-8859-8-i logical", "iso8859-8", "שלום"),
        ("koi8-u koi8-ru", "koi8-u", "річка"),
        ("x-mac-cyrillic", "mac-cyrillic", "река"),
        ("macintosh x-mac-roman", "mac-roman", "“Größe”"),
        ("iso_8859-1:1987 ansi_x3.4-1968 l1 x-cp1252 x-user-defined", "cp1252", "“café” €"),
        ("iso-8859-15 l9", "iso8859-15", "café €"),
        ("hz-gb-2312", "hz", "总理"),
        ("iso-2022-kr", "iso2022_kr", "한국"),
        ("utf8 unicode-1-1-utf-8 utf-16 utf-16le", "utf-8", "Größe"),
    ],
)
def test_encodings_are_those_that_browsers_know_by_the_label(
    labels: str, codec: str, word: str
) -> None:
    for label in labels.split():
        page = f'<meta charset="{label}"><p>{word}</p>'.encode(codec)
        assert text(".html", page) == word, label


def test_html_that_declares_no_known_encoding_is_utf_8() -> None:
    assert text(".html", '<meta charset="unicode_escape"><p>\\u0041é') == "\\u0041é"
    assert "not valid UTF-8: byte 7" in reason(".html", b"<p>caf\xe9")


@pytest.mark.parametrize(
    "head",
    [
        '<!-- <meta charset="iso-8859-1"> --><meta charset=utf-8>',
        '<meta name="description" content="charset=iso-8859-1"><meta charset="utf-8">',
        "<meta charset='none'/><META http-equiv=content-type content='text/html; charset=utf-8'>",
        '<meta content="a > b" charset = "utf-8"><meta charset=iso-8859-1>',
        "<!-- <meta charset=iso-8859-1>",
    ],
)
def test_only_a_declaration_is_one(head: str) -> None:
    assert text(".html", f"{head}--><p>Café – naïve</p>").endswith("Café – naïve")


@pytest.mark.parametrize("quote", ['"', "'"])
@pytest.mark.parametrize("encoding", ["iso-8859-1", "windows-1251", "Shift_JIS", "utf-8"])
def test_an_xml_prolog_tells_the_encoding(quote: str, encoding: str) -> None:
    word = {"windows-1251": "река", "Shift_JIS": "川"}.get(encoding, "Größe")
    prolog = f"<?xml version={quote}1.0{quote} encoding={quote}{encoding}{quote}?>\n"
    page = f"{prolog}<!DOCTYPE html><html xmlns='http://www.w3.org/1999/xhtml'><p>{word}</p></html>"
    assert text(".html", page.encode(encoding)) == word


def test_what_a_page_declares_in_meta_goes_before_its_xml_prolog() -> None:
    page = '<?xml version="1.0" encoding="utf-8"?><meta charset="koi8-r"><p>река'
    assert text(".html", page.encode("koi8-r")) == "река"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_an_xml_prolog_in_utf_16_needs_no_mark(encoding: str) -> None:
    page = '<?xml version="1.0" encoding="UTF-16"?><html><p>Größe</p></html>'
    assert text(".html", page.encode(encoding)) == "Größe"


@pytest.mark.parametrize("encoding", ["utf-16", "iso-8859-1"])
def test_the_parts_of_a_docx_may_be_in_other_encodings(encoding: str) -> None:
    prolog = f'<?xml version="1.0" encoding="{encoding}"?>'
    body = documents.word_xml("<w:p><w:r><w:t>Größe</w:t></w:r></w:p>")
    core = f'{prolog}<cp xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>Maß</dc:title></cp>'
    data = documents.bare_docx(
        (prolog + body).encode(encoding), **{"docProps/core.xml": core.encode(encoding)}
    )
    found = read(".docx", data)
    assert (found.title, found.pages) == ("Maß", ["Größe"])


def test_white_space_collapses_across_elements() -> None:
    assert text(".html", "<p>a <b> b</b> <i> c</i>\n d") == "a b c d"


def test_what_follows_the_end_of_a_page_is_read() -> None:
    assert text(".html", "<html><body><p>a</body></html><p>b") == "a\n\nb"


def test_depth_of_html_costs_nothing() -> None:
    assert text(".html", "<div><b>" * 20_000 + "river" + "</b></div>" * 20_000) == "river"


# Markdown


def test_markdown_is_read_without_its_markup() -> None:
    page = read(
        ".md",
        "# The *title*\n\nSome **bold** [link](http://a.b) `code`.\n\n- one\n- two\n\n"
        "| a | b |\n|---|---|\n| 1 | 2 |\n\n<script>no</script>\n\n```\nx = 1\n  y\n```\n",
    )
    assert page.title == "The title"
    assert page.pages[0].split("\n\n") == [
        "The title",
        "Some bold link code.",
        "one\ntwo",
        "a\tb\n1\t2",
        "x = 1\n  y",
    ]


@pytest.mark.parametrize("quote", ["", '"', "'"])
def test_the_title_of_the_front_matter_goes_before_headings(quote: str) -> None:
    page = read(".md", f"---\ntags: [a]\ntitle: {quote}Of front{quote}\n---\n# Head\n\ntext")
    assert (page.title, page.pages) == ("Of front", ["Head\n\ntext"])
    assert read(".markdown", "---\n\n# Head\n\ntext").title == "Head"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("closing", ["---", "..."])
def test_front_matter_may_have_any_line_ends(end: str, closing: str) -> None:
    lines = ["---", "# a comment", "title: Of front", "tags:", "- a", "", closing, "text", ""]
    page = read(".md", end.join(lines))
    assert (page.title, page.pages) == ("Of front", ["text"])


@pytest.mark.parametrize(
    "start",
    [
        "\nIntro paragraph.\n\n",
        "Intro paragraph.\n",
        "# Intro\n\n",
        "# Intro\n\nNote: a slide.\n",
        "Intro to this page: all of it.\n\n",
        "Note: the first line.\nIntro of two lines.\n\n",
        "- Intro\n- item\n\n",
        "https://example.com/Intro\n\n",
    ],
)
def test_text_between_two_thematic_breaks_is_no_front_matter(start: str) -> None:
    found = text(".md", f"---\n{start}---\n\nRest.\n")
    assert "Intro" in found
    assert "Rest." in found
    assert ("Note:" in found) == ("Note:" in start)


@pytest.mark.parametrize("key", ["title", "Date", "date created", '"Date"', "dc.title", "状态"])
def test_front_matter_may_begin_with_any_key(key: str) -> None:
    page = read(".md", f"---\n{key}: Of front\nDate Changed: 2020\nlist:\n- a\n---\ntext")
    assert page.pages == ["text"]


def test_front_matter_without_an_end_costs_nothing() -> None:
    assert "Of front" in text(".md", "---\n" + "title: Of front\n" * 20_000)


def test_front_matter_may_be_empty() -> None:
    page = read(".md", "---\n---\n# Head\n\ntext")
    assert (page.title, page.pages) == ("Head", ["Head\n\ntext"])


@pytest.mark.parametrize(
    ("value", "title"),
    [
        (">\n  Of\n  front\n\n  matter", "Of front matter"),
        ("|-  # kept\n  Of front\n  matter\n", "Of front matter"),
        (">2+\n    Of front", "Of front"),
        ("Of a\n  long line", "Of a long line"),
        ('"Of a\n  long line"', "Of a long line"),
        ('"Of \\"front\\""  # checked', 'Of "front"'),
        (r'"C:\\new\folder"', r"C:\new\folder"),
        ("'It''s of front'", "It's of front"),
        ('"Of" front', '"Of" front'),
        ("C# > F: a 'title'", "C# > F: a 'title'"),
        ("null", "Head"),
        ("~", "Head"),
        ('""', "Head"),
        ("", "Head"),
        (">", "Head"),
        ("\n  en: Of front", "Head"),
    ],
)
def test_the_title_of_the_front_matter_is_a_scalar_of_yaml(value: str, title: str) -> None:
    page = read(".md", f"---\ntitle: {value}\nauthor: x\n---\n# Head\n\ntext")
    assert (page.title, page.pages) == (title, ["Head\n\ntext"])


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("Avoid the <script> tag. More.", "Avoid the <script> tag. More."),
        ("The <title> tag.\n\n# Head\n\nText.", "The <title> tag.\n\nHead\n\nText."),
        ("A <textarea> here\n\nand <svg> there.", "A <textarea> here\n\nand <svg> there."),
        ("<script>\nrun()\n\nText.", "<script> run() Text."),
        ("a <script>run()</script> b", "a b"),
        ("<style>\np {}\n\nq {}\n</style>\n\nText.", "Text."),
        ("Run x with <your-name> and List<String> now.",) * 2,
        ("a <b>bold</b> and <Tabs>tab</Tabs> <Image src='x' /> end", "a bold and tab end"),
        ("one<br>two <kbd>Ctrl</kbd>", "one\ntwo Ctrl"),
    ],
)
def test_tags_that_are_meant_as_text_are_text(source: str, shown: str) -> None:
    assert text(".md", source) == shown


def test_what_only_looks_like_a_link_definition_is_text() -> None:
    notes = "[^1]: Ibid.\n[^2]: Smith (2019)"
    source = f"Claim.[^1] Other.[^2] [x] [y]\n\n{notes}\n\n[Deadline]: 2024-05-01\n\n"
    definitions = '[x]: http://x.org "Title"\n[y]:\n  page.md\n'
    assert text(".md", source + definitions) == (
        "Claim.[^1] Other.[^2] x y\n\n[^1]: Ibid. [^2]: Smith (2019)\n\n[Deadline]: 2024-05-01"
    )


@pytest.mark.parametrize("quoted", ["", "> "])
def test_cells_beyond_the_columns_of_a_table_are_kept(quoted: str) -> None:
    rows = [
        "| Op | Is |",
        "|---|---|",
        "| `a|b` | or |",
        "| 1 | 2 | 3 | 4 | |",
        "| x\\|y | z |",
        "w",
    ]
    shown = "Op\tIs\n`a\tb` | or\n1\t2 | 3 | 4\nx|y\tz\nw"
    assert text(".md", "\n".join(quoted + row for row in rows)) == shown


def test_deep_markdown_is_read_or_refused_but_not_cut() -> None:
    def outline(depth: int) -> str:
        items = "\n".join("  " * level + f"- level{level}" for level in range(depth))
        return f"{items}\n\n# After\n\nText."

    whole = text(".md", outline(45))
    assert "level44" in whole
    assert whole.endswith("After\n\nText.")
    assert "nested too deep" in reason(".md", outline(50))
    assert text(".md", ">" * 20 + " quoted\n\nAfter") == "quoted\n\nAfter"
    assert "nested too deep" in reason(".md", ">" * 100 + " quoted\n\nAfter")


def kinds(document: ConvertedDocument) -> list[str]:
    """The kind of each block; each holds a line of the text without white space around it."""
    [text] = document.pages
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    assert [text[block.start : block.end] for block in document.blocks] == lines
    return [block.kind for block in document.blocks]


def test_headings_items_and_code_are_known() -> None:
    page = """# Head

Some text. More
text.

- one
- two

  more of two

| a | b |
|---|---|
| 1 | 2 |

```
code  line

    second
```

Sub
---
last
"""
    document = read(".md", page)
    assert kinds(document) == [
        *("heading", "paragraph", "item", "item", "paragraph"),
        *("item", "item", "item", "item", "heading", "paragraph"),
    ]


def test_an_empty_heading_or_item_marks_nothing_else() -> None:
    page = read(".html", "<h2></h2><p>one</p><ul><li></li></ul><p>two</p><li><p>three</p></li>")
    assert kinds(page) == ["paragraph", "paragraph", "item"]
    assert kinds(read(".md", "# ![logo](logo.png)\n\nText.")) == ["paragraph"]


def test_a_sentence_may_go_on_after_a_line_break() -> None:
    page = read(".html", "<p>He decided<br>that<br/> it<br>rains.<br>Yes.<li>one<br>more<br><br>no")
    assert [page.pages[0][block.start : block.end] for block in page.blocks] == [
        "He decided\nthat\nit\nrains.",
        "Yes.",
        "one\nmore",
        "no",
    ]
    assert [block.kind for block in page.blocks] == ["paragraph", "paragraph", "item", "paragraph"]
    assert len(read(".html", "<h1>One<br>two</h1>").blocks) == 2
    assert len(read(".md", "He decided  \nthat\\\nit rains.").blocks) == 1


def test_words_are_not_glued() -> None:
    assert read(".html", "<h1>Foo<br>Bar\n baz</h1>").title == "Foo Bar baz"
    assert text(".html", "one</br>two</BR >three") == "one\ntwo\nthree"
    assert text(".html", "Press <button>OK</button><button>No</button> now") == "Press OK No now"


def test_an_exponent_is_no_part_of_its_number() -> None:
    page = "10<sup>5</sup>, 2<sup> -3 </sup>, m<sup>2</sup>, 1<sup>st</sup>, 1999<sup>[3]</sup>"
    assert text(".html", page) == "10^5, 2 -3 , m2, 1st, 1999[3]"
    assert text(".html", "<sup>1</sup> 1999<sup><a>3</a>4</sup>5") == "1 1999^345"


def test_soft_hyphens_are_no_part_of_a_word() -> None:
    document = read(".html", "<h1>Do&shy;nau</h1><p>Dampf&shy;schiff</p>")
    assert document.pages == ["Donau\n\nDampfschiff"]
    assert [document.pages[0][one.start : one.end] for one in document.blocks] == [
        "Donau",
        "Dampfschiff",
    ]
    assert text(".txt", "Do\u00adnau") == text(".md", "Do&shy;nau") == "Donau"


def test_marks_in_a_page_do_no_harm() -> None:
    document = read(".html", "<h1>\ufdd0a</h1><p>\ufdd1b\ufdd2 c<pre>\ufdd3d</pre><li>e</li>")
    assert kinds(document) == ["heading", "paragraph", "item", "item"]


# PDF


def test_a_pdf_is_read_page_by_page() -> None:
    found = read(".pdf", documents.pdf(["the river\nin the north", "the king"], "A title"))
    assert found == ConvertedDocument(
        "A title", ["the river\nin the north", "the king"], paged=True, omitted=[]
    )


def test_a_page_without_text_keeps_its_number() -> None:
    assert read(".pdf", documents.pdf(["", "river"])).pages == ["", "river"]


def test_what_a_pdf_shows_without_text_is_named() -> None:
    read_pages = documents.pdf(["river", "", "", "king", *([""] * 2), " ", "", "north"])
    assert read(".pdf", read_pages).omitted == ["pages 2-3, 5-6, 8 of 9, without text (scanned?)"]
    assert read(".pdf", documents.pdf(["", "river"])).omitted == [
        "page 1 of 2, without text (scanned?)"
    ]
    many = read(".pdf", documents.pdf(["river", ""] * 30)).omitted
    assert many == ["pages 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, ... of 60, without text (scanned?)"]


def test_what_was_typed_into_a_pdf_is_read() -> None:
    """What its form shows, with labels and without passwords, and free text."""
    printed, *typed = read(".pdf", documents.filled_pdf()).pages[0].split("\n\n")
    assert printed == "Your name:"
    assert typed == [
        "Name: Ada Lovelace",
        "Country: France",
        "Married: Yes",
        "Colour: blue",
        "Fruit: Apple",
        "Fruit: Pear",
        "Street: Straße",
        "Since: 1835",
        "in a hurry",
    ]


def test_a_form_that_only_one_program_shows_is_refused() -> None:
    assert "an XFA form" in reason(".pdf", documents.pdf_with({"/NeedsRendering": True}))
    assert read(".pdf", documents.pdf_with({"/NeedsRendering": False})).pages == ["river"]


def test_a_pdf_with_damage_is_read_as_far_as_possible() -> None:
    found = read(".pdf", documents.pdf_with_damage())
    assert found.pages == ["river\n\nin a hurry", ""]
    assert found.omitted == [
        "page 2 of 2, without text (scanned?)",
        "some of what was typed onto page 1 (damaged)",
    ]


def test_a_portfolio_is_named() -> None:
    portfolio = documents.pdf_with({"/Collection": {}}, attachment=b"the king")
    assert read(".pdf", portfolio).omitted == ["the files in it"]
    assert read(".pdf", documents.pdf_with({}, attachment=b"the king")).omitted == []


def test_ligatures_and_words_divided_at_line_ends_are_whole() -> None:
    page = (
        "A river-\nbank, a riverbank, a well-\nknown one. The \ufb01rst ri\u00ad\nver of o\ufb03ces"
    )
    assert undo_layout([page]) == [
        "A riverbank, a riverbank, a well-\nknown one. The first river of offices"
    ]
    assert undo_layout(["The identi-\nfier.", "Identifier", "identifier"])[0] == "The identifier."
    assert undo_layout(["A river-\nbank\nis a riverbank"]) == ["A riverbank\nis a riverbank"]


def test_a_soft_hyphen_within_a_line_is_a_hyphen() -> None:
    assert undo_layout(["well\u00adknown 2010\u00ad\n2012"]) == ["well-known 2010-\n2012"]


def test_a_long_run_of_letters_takes_linear_time() -> None:
    assert undo_layout(["a" * 1_000_000]) == ["a" * 1_000_000]


def test_leaders_of_dots_are_short() -> None:
    contents = "1 Kings . . . . . . . . . 4\n2 Rivers........5\nWait. . . What....?"
    assert undo_layout([contents]) == ["1 Kings ... 4\n2 Rivers...5\nWait. . . What....?"]


@pytest.mark.parametrize(
    ("pages", "found"),
    [
        (["a\n1", "b\n2", "c\n3", "d"], ["a", "b", "c", "d"]),
        (["a\n- 7 -", "b", "c\n- 9 -", "d\n- 10 -"], ["a", "b", "c", "d"]),
        (["a\n1 of 3", "b\n2 of 3", "c\n3 of 3"], ["a\n1 of 3", "b", "c"]),
        (["1\nReport\na", "2\nReport\nb", "Report 3\nc"], None),
        ([f"Plays {n}\n{word}" for n, word in enumerate("abcd")], ["Plays 0\na", "b", "c", "d"]),
        ([f"Plays\n{word}\n{n}" for n, word in enumerate("abcdefgh")], ["Plays\na", *"bcdefgh"]),
        (
            [f"{'Kings' if n % 2 else 'Plays'}\n{word}" for n, word in enumerate("abcdefgh")],
            ["Plays\na", "Kings\nb", *"cdefgh"],
        ),
        (["x 5\na", "x 9\nb", "x 2\nc", "x 7\nd"], None),  # totals, not numbers of pages
        (["12 a", "12 b", "12 c"], None),
        (
            [f"Day {n}\n{word}\nPage {n}" for n, word in enumerate("abcd", 1)],
            ["Day 1\na\nPage 1", "Day 2\nb", "Day 3\nc", "Day 4\nd"],
        ),
        (
            [f"{n}.\n{word}\n{n + 7}" for n, word in enumerate("abcd")],
            ["0.\na", "1.\nb", "2.\nc", "3.\nd"],
        ),
        ([f"{word}\nTotal 10.00 EUR" for word in "abcdefgh"], None),
        ([f"Invoice {n}\n{word}" for n, word in enumerate("abcd", 1001)], None),
        ([f"Part 0{n}\n{word}" for n, word in enumerate("abcd", 1)], None),
        (
            [f"Exercise {n}\n{word}\n{n}" for n, word in enumerate("abcd", 1)],
            [f"Exercise {n}\n{word}" for n, word in enumerate("abcd", 1)],
        ),
        (
            [
                f"{n} Ada\n{word}" if n % 2 else f"Rivers {n}\n{word}"
                for n, word in enumerate("abcdef", 101)
            ],
            None,  # no more pages than that
        ),
        ([f"}}\n{word}" for word in "abcdefgh"], None),
        (["the end.\nx", "the end.\ny", "a", "b", "the end.\nz", "c", "d"], None),
        (["a\n1", "b\n2"], None),
        (["same"] * 8, ["same", *[""] * 7]),
        ([], None),
    ],
)
def test_headers_and_footers_of_pages_go(pages: list[str], found: list[str] | None) -> None:
    assert undo_layout(pages) == (pages if found is None else found)


def test_an_encrypted_pdf_without_a_password_is_read() -> None:
    assert read(".pdf", documents.aes_pdf(["river"], password="")).pages == ["river"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (documents.pdf(["", ""]), "no text found: perhaps a scan (pages: 2)"),
        (documents.pdf(["river"], password="p"), "encrypted: it needs a password"),
        (documents.aes_pdf(["river"], "p"), "encrypted: it needs a password"),
        (b"no pdf", "not a PDF"),
        (documents.docx(["river"]), "not a PDF"),
        (b"%PDF-1.4\n", "damaged PDF"),
        (documents.pdf(["river"])[:200], "damaged PDF"),
    ],
)
def test_unreadable_pdfs_are_explained(data: bytes, said: str) -> None:
    assert said in reason(".pdf", data)


# DOCX


def test_a_docx_is_read_with_its_tables() -> None:
    found = read(".docx", documents.docx(["the river", "the king"], "A title", "Heading"))
    text = "Heading\n\nthe river\n\nthe king\n\nleft\tright"
    assert (found.title, found.pages) == ("A title", [text])
    assert kinds(found) == ["heading", "paragraph", "paragraph", "item"]
    assert read(".docx", documents.docx(["river"], heading="Heading")).title == "Heading"


STYLES = """<w:style w:type='paragraph' w:styleId='berschrift1'><w:name w:val='heading 1'/>
    <w:pPr><w:outlineLvl w:val='0'/></w:pPr></w:style>
<w:style w:type='paragraph' w:styleId='Chapter'><w:basedOn w:val='berschrift1'/></w:style>
<w:style w:type='paragraph' w:styleId='NewChapter'><w:basedOn w:val='Chapter'/></w:style>
<w:style w:type='paragraph' w:styleId='Contents'><w:basedOn w:val='Chapter'/>
    <w:pPr><w:outlineLvl w:val='9'/></w:pPr></w:style>
<w:style w:type='paragraph' w:styleId='Loop'><w:basedOn w:val='Loop'/></w:style>"""


@pytest.mark.parametrize(
    ("properties", "kind"),
    [
        ("<w:pStyle w:val='berschrift1'/>", "heading"),
        ("<w:pStyle w:val='NewChapter'/>", "heading"),
        ("<w:outlineLvl w:val='0'/>", "heading"),
        ("<w:pStyle w:val='Loop'/><w:outlineLvl w:val='8'/>", "heading"),
        ("<w:pStyle w:val='Contents'/>", "paragraph"),
        ("<w:pStyle w:val='NewChapter'/><w:outlineLvl w:val='9'/>", "paragraph"),
        ("<w:pStyle w:val='Loop'/>", "paragraph"),
    ],
)
def test_a_paragraph_of_a_docx_with_an_outline_level_is_a_heading(
    properties: str, kind: str
) -> None:
    found = read(
        ".docx",
        documents.bare_docx(
            documents.word_xml(f"<w:p><w:pPr>{properties}</w:pPr>{word_run('river')}</w:p>"),
            **{"word/styles.xml": f"<w:styles xmlns:w='{documents.WORD}'>{STYLES}</w:styles>"},
        ),
    )
    assert kinds(found) == [kind]
    assert found.title == ("river" if kind == "heading" else "")


def test_insertions_and_controls_are_text_and_deletions_are_not() -> None:
    run = "<w:r><w:t>{}</w:t></w:r>"
    body = (
        f"<w:p><w:ins>{run.format('inserted ')}</w:ins><w:del><w:r><w:delText>deleted</w:delText>"
        f"</w:r></w:del><w:sdt><w:sdtContent>{run.format('controlled')}</w:sdtContent></w:sdt></w:p>"
    )
    assert text(".docx", documents.bare_docx(documents.word_xml(body))) == "inserted controlled"


WORD_RUN = "<w:r><w:t xml:space='preserve'>{}</w:t></w:r>"


def word_run(text: str) -> str:
    return WORD_RUN.format(text)


def word_text(body: str) -> str:
    """The text of a document of this body."""
    return text(".docx", documents.bare_docx(documents.word_xml(body)))


def test_drawings_of_a_docx_that_show_text_are_named() -> None:
    names = ["charts/chart1", "charts/chartEx2", "charts/style1", "diagrams/data1"]
    parts = {f"word/{name}.xml": "<x/>" for name in names}
    body = documents.word_xml(f"<w:p>{word_run('river')}</w:p>")
    found = read(".docx", documents.bare_docx(body, **parts))
    assert found.omitted == ["2 charts", "1 SmartArt graphic"]


BOX = f"<w:txbxContent><w:p>{word_run('in a box')}</w:p></w:txbxContent>"
DRAWING = "<w:drawing><wp:anchor xmlns:wp='wp'>{}</wp:anchor></w:drawing>"
MC = "xmlns:mc='http://schemas.openxmlformats.org/markup-compatibility/2006'"
MATH = "xmlns:m='http://schemas.openxmlformats.org/officeDocument/2006/math'"
LINK = (
    "xmlns:r='http://schemas.openxmlformats.org/officeDocument/2006/relationships' r:id='missing'"
)
DRAWN = "xmlns:a='http://schemas.openxmlformats.org/drawingml/2006/main'"


@pytest.mark.parametrize(
    ("inline", "shown"),
    [
        (f"<w:fldSimple w:instr='REF x'>{word_run('3.2')}</w:fldSimple>", "See 3.2 here."),
        (
            f"<w:ins><w:fldSimple><w:dir>{word_run('3.2')}</w:dir></w:fldSimple></w:ins>",
            "See 3.2 here.",
        ),
        (f"<w:dir w:val='rtl'>{word_run('שלום')}</w:dir>", "See שלום here."),
        (f"<w:bdo w:val='rtl'>{word_run('שלום')}</w:bdo>", "See שלום here."),
        (f"<unknown>{word_run('it')}</unknown>", "See it here."),
        ("<w:r><w:sym w:font='Arial' w:char='00B0'/></w:r>", "See ° here."),
        ("<w:r><w:sym w:font='Symbol' w:char='F061'/></w:r>", "See α here."),
        ("<w:r><w:sym w:font='Symbol' w:char='f061'/></w:r>", "See α here."),
        ("<w:r><w:sym w:font='Symbol' w:char='0061'/></w:r>", "See α here."),
        ("<w:r><w:sym w:font='Unknown' w:char='F061'/></w:r>", "See here."),
        ("<w:r><w:sym/></w:r>", "See here."),
        (
            "<w:r><w:pict><v:shape xmlns:v='urn:schemas-microsoft-com:vml'>"
            "<v:textpath string='in a box'/></v:shape></w:pict></w:r>",
            "See here.\n\nin a box",
        ),
        (
            f"<w:r><w:ruby><w:rubyPr/><w:rt>{word_run('かん')}</w:rt>"
            f"<w:rubyBase>{word_run('漢')}</w:rubyBase></w:ruby></w:r>",
            "See 漢 here.",
        ),
        (
            f"<w:r><mc:AlternateContent {MC}><mc:Choice><w:t>☺</w:t></mc:Choice><mc:Fallback/>"
            "</mc:AlternateContent></w:r>",
            "See ☺ here.",
        ),
        (
            f"<w:r><mc:AlternateContent {MC}><mc:Choice>{DRAWING.format(BOX)}</mc:Choice>"
            f"<mc:Fallback><w:pict>{BOX}</w:pict></mc:Fallback></mc:AlternateContent></w:r>",
            "See here.\n\nin a box",
        ),
        (
            f"<w:r><mc:AlternateContent {MC}><mc:Choice>{DRAWING.format(BOX)}</mc:Choice>"
            "</mc:AlternateContent></w:r>",
            "See here.\n\nin a box",
        ),
        (
            f"<w:r><mc:AlternateContent {MC}><mc:Choice>{DRAWING.format(BOX)}</mc:Choice>"
            f"<mc:Fallback>{word_run('a box')}</mc:Fallback></mc:AlternateContent></w:r>",
            "See here.\n\nin a box",
        ),
        (f"<w:r>{DRAWING.format(BOX)}</w:r>", "See here.\n\nin a box"),
        (
            "<w:r>"
            + DRAWING.format(f"<a:p {DRAWN}><a:r><a:t>in a</a:t></a:r><a:br/><a:t>box</a:t></a:p>")
            + "</w:r>",
            "See here.\n\nin a box",
        ),
        (
            f"<w:r><w:pict><v:oval xmlns:v='urn:schemas-microsoft-com:vml'>{BOX}</v:oval></w:pict>"
            "</w:r>",
            "See here.\n\nin a box",
        ),
        (
            f"<w:r><w:object><v:shape xmlns:v='urn:schemas-microsoft-com:vml'>{BOX}</v:shape>"
            "</w:object></w:r>",
            "See here.\n\nin a box",
        ),
        (
            "<w:r><w:pict><v:imagedata xmlns:v='urn:schemas-microsoft-com:vml' "
            f"{LINK}/></w:pict></w:r>",
            "See here.",
        ),
        (f"<w:hyperlink {LINK}>{word_run('it')}</w:hyperlink>", "See it here."),
        (
            "<w:sdt><w:sdtPr><w14:checkbox xmlns:w14='http://schemas.microsoft.com/office/word/"
            f"2010/wordml'/></w:sdtPr><w:sdtContent>{word_run('☒')}</w:sdtContent></w:sdt>",
            "See ☒ here.",
        ),
        (
            f"{word_run('10')}<w:r><w:rPr><w:b/><w:vertAlign w:val='superscript'/></w:rPr>"
            "<w:t>5</w:t></w:r>",
            "See 10^5 here.",
        ),
        ("<w:r><w:t>in</w:t><w:softHyphen/><w:t>form</w:t></w:r>", "See inform here."),
        (f"<w:del>{word_run('old')}</w:del><w:moveFrom>{word_run('x')}</w:moveFrom>", "See here."),
    ],
)
def test_no_text_of_a_docx_is_lost_for_what_is_around_it(inline: str, shown: str) -> None:
    body = f"<w:p>{word_run('See ')}{inline}{word_run(' here.')}</w:p>"
    assert word_text(body) == shown


@pytest.mark.parametrize(
    ("mark", "shown"),
    [
        ("<w:vanish/>", "See here."),
        ("<w:vanish w:val='1'/>", "See here."),
        ("<w:vanish w:val='false'/>", "See it here."),
        ("<w:webHidden/>", "See it here."),
    ],
)
def test_hidden_text_of_a_docx_is_not_read(mark: str, shown: str) -> None:
    hidden = f"<w:r><w:rPr>{mark}</w:rPr><w:t>it</w:t></w:r>"
    body = f"<w:p>{word_run('See ')}{hidden}{word_run(' here.')}</w:p>"
    assert word_text(body) == shown


def test_a_field_keeps_its_result_if_its_marks_are_hidden() -> None:
    hidden = "<w:r><w:rPr><w:vanish/></w:rPr><w:fldChar w:fldCharType='{}'/></w:r>"
    parts = [hidden.format("begin"), word_run("REF x"), hidden.format("separate"), word_run("3.2")]
    assert word_text(f"<w:p>{''.join(parts)}{hidden.format('end')}</w:p>") == "3.2"


def test_a_deleted_end_of_a_paragraph_joins_it_with_the_next_paragraph_only() -> None:
    joined = f"<w:p><w:pPr><w:rPr><w:del/></w:rPr></w:pPr>{word_run('A ')}</w:p>"
    plain = f"<w:p>{word_run('B')}</w:p>"
    assert word_text(joined + plain) == "A B"
    table = f"<w:tbl><w:tr><w:tc>{joined}</w:tc><w:tc>{plain}</w:tc></w:tr></w:tbl>"
    assert word_text(joined + table + joined) == "A\n\nA\tB\n\nA"


@pytest.mark.parametrize(
    ("frame", "shown"), [("w:dropCap='drop' w:lines='3'", "The river"), ("", "T\n\nhe river")]
)
def test_a_drop_cap_is_part_of_its_word(frame: str, shown: str) -> None:
    cap = f"<w:p><w:pPr><w:framePr {frame}/><w:rPr><w:i/></w:rPr></w:pPr>{word_run('T')}</w:p>"
    assert word_text(f"{cap}<w:p>{word_run('he river')}</w:p>") == shown


@pytest.mark.parametrize(
    ("formula", "shown"),
    [
        ("<m:r><m:t>E=m</m:t></m:r><m:r><w:t>c</w:t></m:r>", "E=mc"),
        ("<m:f><m:num>{a+b}</m:num><m:den>{2}</m:den></m:f>", "(a+b)/2"),
        ("<m:sSup><m:e>{x}</m:e><m:sup>{10}</m:sup></m:sSup>", "x^10"),
        ("<m:sSub><m:e>{x}</m:e><m:sub>{i+1}</m:sub></m:sSub>", "x_(i+1)"),
        ("{f}<m:d><m:e>{x}</m:e></m:d>", "f(x)"),
        ("<m:d><m:dPr><m:begChr m:val='['/><m:endChr m:val=']'/></m:dPr>{x}</m:d>", "[x]"),
        ("<m:rad><m:deg>{3}</m:deg><m:e>{x}</m:e></m:rad>", "3√(x)"),
        (
            "<m:nary><m:naryPr><m:chr m:val='∑'/></m:naryPr><m:sub>{i=1}</m:sub><m:sup>{n}</m:sup>"
            "<m:e>{i}</m:e></m:nary>",
            "∑_(i=1)^n i",
        ),
        ("<m:func><m:fName>{sin}</m:fName><m:e>{x}</m:e></m:func>", "sin x"),
        (
            "<m:nary><m:sub>{0}</m:sub><m:sup>{1}</m:sup><m:e/></m:nary>{x}",
            "∫_0^1 x",
        ),
        ("<m:acc><m:accPr><m:chr m:val='\u20d7'/></m:accPr><m:e>{v}</m:e></m:acc>", "v\u20d7"),
        ("<m:acc><m:accPr/><m:e>{p}</m:e></m:acc>", "p\u0302"),
        ("{x=1}<m:r><w:br/></m:r>{y=2}", "x=1 y=2"),
        ("{x}<w:del>{y}</w:del>", "x"),
    ],
)
def test_a_formula_is_written_on_one_line(formula: str, shown: str) -> None:
    formula = formula.replace("{", "<m:r><m:t>").replace("}", "</m:t></m:r>")
    formula = f"<m:oMath {MATH}>{formula}</m:oMath>"
    body = f"<w:p>{word_run('It is ')}{formula}{word_run(' then.')}</w:p>"
    assert word_text(body) == f"It is {shown} then."
    body = f"<w:p>{word_run('It is')}<m:oMathPara {MATH}>{formula}</m:oMathPara></w:p>"
    assert word_text(body) == f"It is\n{shown}"


def test_the_notes_of_a_docx_are_read_as_its_body() -> None:
    field = f"<w:fldSimple>{word_run('3.2')}</w:fldSimple>"
    note = f"<w:footnote w:id='2'><w:p>{word_run('See ')}{field}</w:p></w:footnote>"
    data = documents.bare_docx(
        documents.word_xml("<w:p><w:r><w:t>river</w:t><w:footnoteReference w:id='2'/></w:r></w:p>"),
        **{"word/footnotes.xml": f"<w:footnotes xmlns:w='{documents.WORD}'>{note}</w:footnotes>"},
    )
    assert text(".docx", data) == "river[1]\n\nSee 3.2"


def test_a_docx_with_text_in_an_embedded_file_is_rejected() -> None:
    body = f"<w:p>{word_run('river')}</w:p><w:altChunk/>"
    data = documents.bare_docx(documents.word_xml(body))
    assert "in an embedded file (w:altChunk), which is not read" in reason(".docx", data)


@pytest.mark.parametrize("mark", ["br", "br w:type='page'", "br w:type='column'", "cr", "ptab"])
def test_breaks_in_a_docx_separate_words(mark: str) -> None:
    body = f"<w:p><w:r><w:t>One ends.</w:t><w:{mark}/><w:t>Two starts.</w:t></w:r></w:p>"
    separator = " " if mark == "ptab" else "\n"
    assert word_text(body) == f"One ends.{separator}Two starts."


def field(*instruction: str, result: str | None = None) -> str:
    mark = "<w:r><w:fldChar w:fldCharType='{}'/></w:r>"
    shown = "" if result is None else mark.format("separate") + result
    return "".join([mark.format("begin"), *instruction, shown, mark.format("end")])


FORM_MARK = "<w:r><w:fldChar w:fldCharType='begin'><w:ffData>{}</w:ffData></w:fldChar></w:r>"
ENTRIES = "<w:listEntry w:val='red'/><w:listEntry w:val='blue'/>"


@pytest.mark.parametrize(
    ("form", "shown"),
    [
        (f"<w:ddList><w:result w:val='1'/>{ENTRIES}</w:ddList>", "blue"),
        (f"<w:ddList><w:default w:val='1'/>{ENTRIES}</w:ddList>", "blue"),
        (f"<w:ddList>{ENTRIES}</w:ddList>", "red"),
        ("<w:checkBox><w:checked/></w:checkBox>", "☒"),
        ("<w:checkBox><w:default w:val='1'/><w:checked w:val='0'/></w:checkBox>", "☐"),
        ("<w:checkBox><w:default w:val='1'/></w:checkBox>", "☒"),
    ],
)
def test_what_is_chosen_in_a_form_is_text(form: str, shown: str) -> None:
    begin, rest = FORM_MARK.format(form), field(instruction("FORM")).partition("</w:r>")[2]
    assert word_text(f"<w:p>{word_run('It is ')}{begin}{rest}{word_run(' here.')}</w:p>") == (
        f"It is {shown} here."
    )


def instruction(text: str) -> str:
    return f"<w:r><w:instrText>{text}</w:instrText></w:r>"


@pytest.mark.parametrize(
    ("inline", "shown"),
    [
        (field(instruction("REF x"), result=word_run("Mrs")), "Dear Mrs Jones."),
        (
            field(
                instruction("IF "),
                field(instruction("MERGEFIELD sex"), result=word_run("female")),
                instruction(" = 'female' 'Mrs' 'Mr'"),
                result=word_run("Mrs"),
            ),
            "Dear Mrs Jones.",
        ),
        (
            field(instruction("IF 1 = 1"), word_run("Mr"), result=word_run("Mrs")),
            "Dear Mrs Jones.",
        ),
        (
            field(instruction("QUOTE"), result=field(instruction("REF x"), result=word_run("Mrs"))),
            "Dear Mrs Jones.",
        ),
        (field(instruction("XE "), word_run("Mrs")), "Dear Jones."),
        (
            f"<w:r><w:fldChar w:fldCharType='begin'/></w:r>{word_run('Mrs')}",
            "Dear Mrs Jones.",
        ),
        (f"{word_run('Mrs')}<w:r><w:fldChar w:fldCharType='end'/></w:r>", "Dear Mrs Jones."),
    ],
)
def test_only_the_result_of_a_field_is_text(inline: str, shown: str) -> None:
    body = f"<w:p>{word_run('Dear ')}{inline}{word_run(' Jones.')}</w:p>"
    assert word_text(body) == shown


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"no zip", "not a DOCX, or damaged: File is not a zip file"),
        (b"\xd0\xcf\x11\xe0" + bytes(600), "encrypted, or in Word's old format"),
        (documents.docx(["river"])[:-300], "not a DOCX, or damaged"),
        (documents.bare_docx(documents.word_xml("")), "no text found"),
        (documents.bare_docx("x" * (33 * 2**20)), "unpacks to more than 33,554,432 bytes"),
    ],
)
def test_unreadable_docx_files_are_explained(data: bytes, said: str) -> None:
    assert said in reason(".docx", data)


# Arbitrary bytes

WHOLE = {
    ".txt": b"the river\r\n",
    ".md": b"---\ntitle: a\n---\n# b\n\n| a |\n|---|\n| 1 |\n",
    ".html": b"<title>a</title><h1>b</h1><![if x]><p>c<pre>d</pre><!-- e --><table><td>f",
    ".pdf": documents.pdf(["the river", "the king"], "A title"),
    ".docx": documents.docx(["the river"], "A title", "Heading"),
}


@pytest.mark.parametrize("suffix", sorted(WHOLE))
def test_no_bytes_give_anything_but_text_or_an_error(suffix: str) -> None:
    """The worker turns any `Exception` into a reason; nothing else may be raised."""
    whole = WHOLE[suffix]

    @settings(max_examples=15 if suffix == ".docx" else 50, deadline=None)
    @given(st.integers(0, len(whole)), st.integers(0, 40), st.binary(max_size=30), st.booleans())
    def run(at: int, cut: int, junk: bytes, alone: bool) -> None:
        data = junk if alone else whole[:at] + junk + whole[at + cut :]
        try:
            found = read(suffix, data)
        except Exception:
            return
        assert any(page.strip() for page in found.pages)
        assert "\n" not in found.title
        "".join([found.title, *found.pages]).encode()

    run()
