"""Real documents for tests: PDF by reportlab, DOCX by python-docx, and archives by hand."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from io import BytesIO

CONTENT_TYPES = (
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="xml" ContentType="application/xml"/></Types>'
)
RELATIONSHIPS = (
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    '<Relationship Id="r" Target="word/document.xml" Type="http://schemas.openxmlformats.org/'
    'officeDocument/2006/relationships/officeDocument"/></Relationships>'
)
WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"


def pdf(pages: Sequence[str], title: str = "", password: str | None = None) -> bytes:
    """A PDF whose pages hold these lines; a page of `""` has a drawing and no text."""
    from reportlab.lib.pdfencrypt import StandardEncryption
    from reportlab.pdfgen.canvas import Canvas

    data = BytesIO()
    lock = StandardEncryption(password, ownerPassword="o", strength=128) if password else None
    canvas = Canvas(data, encrypt=lock, invariant=1)
    canvas.setTitle(title)
    for page in pages:
        lines = canvas.beginText(72, 720)
        for line in page.splitlines():
            lines.textLine(line)
        canvas.drawText(lines) if page else canvas.rect(10, 10, 100, 100)
        canvas.showPage()
    canvas.save()
    return data.getvalue()


def aes_pdf(pages: Sequence[str], password: str) -> bytes:
    """A PDF encrypted with AES-256; with the password `""` everybody can open it."""
    from pypdf import PdfReader, PdfWriter

    writer = PdfWriter(clone_from=PdfReader(BytesIO(pdf(pages))))
    writer.encrypt(password, "owner", algorithm="AES-256")
    data = BytesIO()
    writer.write(data)
    return data.getvalue()


def docx(paragraphs: Sequence[str], title: str = "", heading: str = "") -> bytes:
    """A DOCX with a heading, these paragraphs and a table of two cells."""
    from docx import Document

    document = Document()
    document.core_properties.title = title
    if heading:
        document.add_heading(heading, 1)
    for paragraph in paragraphs:
        document.add_paragraph(paragraph)
    left, right = document.add_table(1, 2).rows[0].cells
    left.text, right.text = "left", "right"
    data = BytesIO()
    document.save(data)
    return data.getvalue()


def bare_docx(document: str | bytes, **others: str | bytes) -> bytes:
    """A DOCX of this `word/document.xml` and other parts, by their names."""
    data = BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", CONTENT_TYPES)
        archive.writestr("_rels/.rels", RELATIONSHIPS)
        archive.writestr("word/document.xml", document)
        for name, content in others.items():
            archive.writestr(name, content)
    return data.getvalue()


def word_xml(body: str) -> str:
    """A `word/document.xml` around this."""
    return f'<w:document xmlns:w="{WORD}"><w:body>{body}</w:body></w:document>'
