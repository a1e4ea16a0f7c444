"""Real documents for tests: PDF by reportlab, DOCX by python-docx, and archives by hand."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

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


def filled_pdf() -> bytes:
    """A PDF with a form that was filled in, a password and a hidden field, and a free text."""
    from pypdf import PdfReader, PdfWriter
    from pypdf.annotations import FreeText
    from pypdf.generic import ArrayObject, ByteStringObject, NameObject, TextStringObject
    from reportlab.pdfgen.canvas import Canvas

    data = BytesIO()
    canvas = Canvas(data, invariant=1)
    canvas.drawString(72, 720, "Your name:")
    form = canvas.acroForm
    form.textfield(name="a", tooltip="Name:", value="Ada Lovelace")
    form.choice(name="b", tooltip="Country", value="France", options=["France", "Spain"])
    form.textfield(name="c", value="secret", fieldFlags="password")
    form.textfield(name="d", value="unseen", annotationFlags="hidden")
    form.textfield(name="e", tooltip="Empty")
    form.checkbox(name="f", tooltip="Married", checked=True)
    form.checkbox(name="g", tooltip="Unmarried")
    form.checkbox(name="h", checked=True)
    for colour in ("red", "blue"):
        form.radio(name="i", tooltip="Colour", value=colour, selected=colour == "blue")
    fruits = [("Apple", "1"), ("Fig", "2"), ("Pear", "3")]
    form.listbox(
        name="j", tooltip="Fruit", value=["1", "3"], options=fruits, fieldFlags="multiSelect"
    )
    form.textfield(name="k", tooltip="Street", value="replaced below")
    form.checkbox(name="l", tooltip="Since", checked=True)
    canvas.showPage()
    canvas.drawString(72, 720, "river")
    canvas.save()
    writer = PdfWriter(clone_from=PdfReader(data))
    street, since = (field.get_object() for field in writer.pages[0]["/Annots"][-2:])
    street[NameObject("/V")] = ByteStringObject("Straße".encode())
    since[NameObject("/AS")] = NameObject("/0")
    since[NameObject("/Opt")] = ArrayObject([TextStringObject("1835")])
    writer.add_annotation(0, FreeText(text=" in a hurry ", rect=(0, 0, 99, 99)))
    data = BytesIO()
    writer.write(data)
    return data.getvalue()


def pdf_with(root: Mapping[str, Any], attachment: bytes | None = None) -> bytes:
    """A PDF of one page that has these entries in its catalog, and a file attached to it."""
    from pypdf import PdfReader, PdfWriter
    from pypdf.generic import BooleanObject, DictionaryObject, NameObject

    writer = PdfWriter(clone_from=PdfReader(BytesIO(pdf(["river"]))))
    for key, value in root.items():
        entry = BooleanObject(value) if isinstance(value, bool) else DictionaryObject(value)
        writer.root_object[NameObject(key)] = entry
    if attachment:
        writer.add_attachment("a.txt", attachment)
    data = BytesIO()
    writer.write(data)
    return data.getvalue()


def pdf_with_damage() -> bytes:
    """A PDF of a page with a sound and a damaged annotation, and one whose contents are damaged."""
    page = "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 99 99] "
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R 4 0 R] /Count 2 >>",
        f"{page} /Contents 5 0 R /Resources << /Font << /F 6 0 R >> >> /Annots [8 0 R 9 0 R] >>",
        f"{page} /Contents 7 0 R >>",
        "<< /Length 32 >> stream\nBT /F 9 Tf 9 9 Td (river) Tj ET  \nendstream",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        "<< /Length 4 >> stream\n ] S\nendstream",
        "<< /Subtype /FreeText /Contents (in a hurry) >>",
        "9 0 R",
    ]
    lines = [f"{number} 0 obj {body} endobj" for number, body in enumerate(objects, start=1)]
    end = ["trailer << /Size 10 /Root 1 0 R >>", "startxref", "0", "%%EOF"]
    return "\n".join(["%PDF-1.7", *lines, *end]).encode()


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
