"""A DOCX in simpler terms, since what mammoth does not know it ignores, text and all."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from io import BytesIO
from itertools import accumulate, zip_longest
from xml.etree.ElementTree import Element, ParseError  # parsed by defusedxml only
from zipfile import ZipFile

from rdr_qdrant.readers.documents.document import DocumentError

WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
PREFIXES = {
    WORD: "w",
    "http://purl.oclc.org/ooxml/wordprocessingml/main": "w",
    "http://schemas.openxmlformats.org/officeDocument/2006/math": "m",
    "http://purl.oclc.org/ooxml/officeDocument/math": "m",
    "http://schemas.openxmlformats.org/drawingml/2006/main": "a",
    "http://purl.oclc.org/ooxml/drawingml/main": "a",
    "http://schemas.openxmlformats.org/markup-compatibility/2006": "mc",
    "urn:schemas-microsoft-com:vml": "v",
}
"""Namespaces of Office Open XML (transitional and strict) and the prefixes used here."""
TEXT_PARTS = frozenset({"w:document", "w:footnotes", "w:endnotes"})
"""Root elements of the parts whose text is read."""
KEPT = frozenset("w:body w:footnote w:endnote w:p w:r w:t w:tbl w:tr w:tc".split())
"""Elements kept around their content; of any other, only the content is kept."""
KEPT_WHOLE = frozenset(
    """w:pPr w:trPr w:tcPr w:tab w:noBreakHyphen w:footnoteReference
    w:endnoteReference""".split()
)
"""Elements left as they are: properties of blocks, and single characters."""
HIDDEN = frozenset({"w:del", "w:moveFrom", "w:rt"})
"""Elements whose text is not read: deleted, moved elsewhere, or the reading over a word (ruby)."""
STYLES_PART = "word/styles.xml"
MAX_STYLE_DEPTH = 10
"""Most styles that a style builds on, one on the other."""
HEADING_STYLES = {str(level): f"Heading{min(level + 1, 6)}" for level in range(9)}
"""The style that mammoth takes for a heading of each outline level; level 9 is body text."""
OFF = frozenset({"0", "false", "off"})
"""Values that switch a property off."""
SHOWN_TEXT = frozenset({"w:t", "m:t", "a:t"})
DINGBAT_FONTS = frozenset({"Symbol", "Webdings", "Wingdings", "Wingdings 2", "Wingdings 3"})
COMBINING_CIRCUMFLEX = "\u0302"
PRIVATE_USE = re.compile("[\x00-\x1f\ud800-\uf8ff\ufffe\uffff]")
"""Characters without a meaning of their own."""


def is_xml(name: str) -> bool:
    """Return whether a part of the archive is XML."""
    return name.lower().endswith((".xml", ".rels"))


def rewrite_for_mammoth(archive: ZipFile) -> BytesIO:
    """Return an archive of the XML parts alone, in which mammoth finds all of the text."""
    rewritten = BytesIO()
    levels = _outline_levels(archive)
    with ZipFile(rewritten, "w") as copy:
        for name in dict.fromkeys(filter(is_xml, archive.namelist())):
            data = archive.read(name)
            copy.writestr(name, _rewrite_part(data, levels) if _is_text_part(data) else data)
    rewritten.seek(0)
    return rewritten


def _is_text_part(data: bytes) -> bool:
    from defusedxml import ElementTree

    try:
        _, root = next(iter(ElementTree.iterparse(BytesIO(data), events=("start",))))
    except ParseError:
        return False  # damaged: for mammoth to report, if it needs the part
    return _name(root) in TEXT_PARTS


def _outline_levels(archive: ZipFile) -> Mapping[str, str]:
    """Return the outline level of each paragraph style, its own or that of a style it builds on."""
    from defusedxml import ElementTree

    if STYLES_PART not in archive.namelist():
        return {}
    styles = ElementTree.fromstring(archive.read(STYLES_PART)).findall("{*}style")
    parents: dict[str, str] = {}
    levels: dict[str, str] = {}
    for style in styles:
        style_id = _attribute(style, "styleId", "")
        for parent in style.iterfind("{*}basedOn"):
            parents[style_id] = _attribute(parent, "val", "")
        for level in style.iterfind("{*}pPr/{*}outlineLvl"):
            levels[style_id] = _attribute(level, "val", "")
    for _ in range(MAX_STYLE_DEPTH):
        levels = {
            style: levels[parent] for style, parent in parents.items() if parent in levels
        } | levels
    return levels


def _rewrite_part(data: bytes, levels: Mapping[str, str]) -> bytes:
    from defusedxml import ElementTree

    root: Element = ElementTree.fromstring(data)
    for properties in root.findall(".//{*}pPr"):
        _mark_heading(properties, levels)
        _mark_drop_cap(properties)
    _rewrite_children(root)
    _remove_field_instructions(root)
    rewritten: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return rewritten


def _mark_heading(properties: Element, levels: Mapping[str, str]) -> None:
    """Give a paragraph with an outline level the style of a heading, which mammoth knows."""
    style = properties.find("{*}pStyle")
    own_level = properties.find("{*}outlineLvl")
    if own_level is not None:
        level = _attribute(own_level, "val", "")
    else:
        level = "" if style is None else levels.get(_attribute(style, "val", ""), "")
    if level in HEADING_STYLES:
        heading = _word_element("pStyle")
        heading.set(f"{{{WORD}}}val", HEADING_STYLES[level])
        properties[:] = [heading, *(part for part in properties if part is not style)]


def _mark_drop_cap(properties: Element) -> None:
    """Delete the end of a drop cap, a paragraph of its own, so that its word stays whole."""
    for frame in properties.findall("{*}framePr"):
        if _attribute(frame, "dropCap", "none") != "none":
            end = _word_element("rPr")
            end.append(_word_element("del"))
            properties.insert(0, end)


def _name(element: Element) -> str:
    """Return the element's name with one of `PREFIXES`, or as it is for other namespaces."""
    namespace, _, local_name = element.tag[1:].partition("}")
    prefix = PREFIXES.get(namespace)
    return f"{prefix}:{local_name}" if prefix else element.tag


def _attribute(element: Element, local_name: str, default: str) -> str:
    """Return the value of an attribute in the element's own namespace."""
    return element.get(f"{element.tag.partition('}')[0]}}}{local_name}", default)


def _word_element(local_name: str, text: str = "") -> Element:
    element = Element(f"{{{WORD}}}{local_name}")
    element.text = text
    return element


def _run(text: str) -> Element:
    run = _word_element("r")
    run.append(_word_element("t", text))
    return run


def _paragraph(text: str) -> Element:
    paragraph = _word_element("p")
    paragraph.append(_run(text))
    return paragraph


def _symbol(element: Element) -> Iterator[Element]:
    """Yield a character chosen from a font as text, unless only the font gives it a meaning."""
    code = _attribute(element, "char", "").upper()
    font = _attribute(element, "font", "")
    if not re.fullmatch("[0-9A-F]{4}", code):
        return
    if font in DINGBAT_FONTS:
        symbol = _word_element("sym")  # mammoth knows the common ones, in upper case
        symbol.attrib.update({f"{{{WORD}}}font": font, f"{{{WORD}}}char": code})
        yield symbol
    elif not PRIVATE_USE.match(chr(int(code, 16))):
        yield _run(chr(int(code, 16)))


def _form_text(field_mark: Element) -> str:
    """Return what a field of a form shows if its mark holds that: a chosen entry or a box."""
    for field in field_mark.iterfind("{*}ffData/*"):
        values = {_name(part): _attribute(part, "val", "1") for part in field}
        if _name(field) == "w:checkBox":
            return "☐" if values.get("w:checked", values.get("w:default", "0")) in OFF else "☒"
        if _name(field) == "w:ddList":
            entries = [_attribute(entry, "val", "") for entry in field.iterfind("{*}listEntry")]
            index = int(values.get("w:result", values.get("w:default", "0")))
            return "".join(entries[index : index + 1])
    return ""


def _is_hidden(run: Element) -> bool:
    """Return whether a run is formatted as hidden text."""
    hidden = run.find("{*}rPr/{*}vanish")
    return hidden is not None and _attribute(hidden, "val", "1") not in OFF


def _rewrite_children(element: Element) -> None:
    element[:] = [new for child in element for new in _rewritten(child)]
    _keep_last_ends_of_paragraphs(element)


def _keep_last_ends_of_paragraphs(element: Element) -> None:
    """Keep the deleted end of a paragraph if no paragraph follows, but a table or nothing.

    At a deleted end, mammoth moves the text to the next paragraph, which may be in a table.
    """
    for child, following in zip_longest(element, element[1:]):
        if _name(child) == "w:p" and (following is None or _name(following) != "w:p"):
            for properties in child.iterfind("{*}pPr"):
                properties[:] = [part for part in properties if _name(part) != "w:rPr"]


def _rewritten(element: Element) -> Iterator[Element]:
    """Yield what stands for the element: itself, something simpler, or what it holds."""
    name = _name(element)
    if name in KEPT_WHOLE:
        yield element
    elif name == "w:r" and _is_hidden(element):
        element[:] = element.findall("{*}fldChar")
        yield element
    elif name in KEPT:
        alignment = element.findall("{*}rPr/{*}vertAlign") if name == "w:r" else []
        _rewrite_children(element)
        if alignment:  # an exponent, perhaps
            element.insert(0, _word_element("rPr"))
            element[0].extend(alignment)
        yield element
    elif name in ("w:br", "w:cr"):  # the end of a line, page or column
        yield _word_element("br")
    elif name == "w:fldChar":
        yield from (_word_element("t", _form_text(element)), element)
    elif name == "w:ptab":
        yield _word_element("tab")
    elif name == "m:oMath":
        yield _run(_formula_text(element))
    elif name == "m:oMathPara":  # formulas on lines of their own
        for child in element:
            yield from (_word_element("br"), *_rewritten(child), _word_element("br"))
    elif name == "w:sym":
        yield from _symbol(element)
    elif name in ("w:drawing", "w:pict", "w:object"):
        boxes = _word_element("pict")  # mammoth puts its content after the paragraph
        boxes.extend(_text_boxes(element))
        yield boxes
    elif name == "mc:AlternateContent":
        for child in _chosen_alternative(element):
            yield from _rewritten(child)
    elif name == "w:altChunk":
        raise DocumentError(
            "part of its text is in an embedded file (w:altChunk), which is not read: "
            "open it in Word and save it"
        )
    elif name not in HIDDEN:
        for child in element:
            yield from _rewritten(child)


def _chosen_alternative(alternatives: Element) -> Element:
    """Return the first alternative that holds text: Word shows the first that it knows."""
    return next(filter(_has_text, alternatives), _word_element("r"))


def _has_text(element: Element) -> bool:
    return any(_name(part) in SHOWN_TEXT for part in element.iter())


def _text_boxes(drawing: Element) -> Iterator[Element]:
    for child in drawing:
        name = _name(child)
        if name == "w:txbxContent":
            _rewrite_children(child)
            yield from child
        elif name == "v:textpath":  # WordArt
            yield _paragraph(child.get("string", ""))
        elif name == "a:p":
            yield _paragraph("".join(map(_own_text, child.iter())))
        elif name == "mc:AlternateContent":
            yield from _text_boxes(_chosen_alternative(child))
        else:
            yield from _text_boxes(child)


def _own_text(element: Element) -> str:
    """Return the text of the element alone, without that of others within."""
    name = _name(element)
    if name in SHOWN_TEXT:
        return element.text or ""
    return " " if name in ("a:br", "w:br") else ""


def _formula_text(formula: Element) -> str:
    """Return a formula on one line, such as `(a+b)/2`."""
    name = _name(formula)
    if name in HIDDEN:
        return ""
    if len(formula) == 0:
        return _own_text(formula)
    parts = [_formula_text(part) for part in formula]
    terms = [part for part in parts if part]
    text = "".join(terms)
    properties = {_name(part): _attribute(part, "val", "") for part in formula.iterfind("*/*")}
    if not terms:
        return ""
    if name in ("m:num", "m:den", "m:sub", "m:sup", "m:lim"):
        mark = {"m:num": "", "m:den": "/", "m:sup": "^"}.get(name, "_")
        return f"{mark}{text}" if text.isalnum() else f"{mark}({text})"
    if name == "m:d":
        text = properties.get("m:sepChr", "|").join(terms)
        return f"{properties.get('m:begChr', '(')}{text}{properties.get('m:endChr', ')')}"
    if name == "m:nary":
        return f"{properties.get('m:chr', '∫')}{''.join(parts[:-1])} {parts[-1]}"
    if name == "m:acc":  # an accent, such as an arrow over a vector
        return f"{text}{properties.get('m:chr', COMBINING_CIRCUMFLEX)}"
    if name == "m:rad":
        return f"{''.join(terms[:-1])}√({terms[-1]})"
    separator = {"m:func": " ", "m:mr": " ", "m:m": "; ", "m:eqArr": "; "}
    return separator.get(name, "").join(terms)


def _remove_field_instructions(root: Element) -> None:
    """Remove the text between the start of each field and its result.

    It is the result of a field within, or part of a condition. A field without an end, in a
    damaged document, keeps its text.
    """
    runs = [run for run in root.iter() if _name(run) == "w:r"]
    contents = [child for run in runs for child in run]
    open_fields: list[tuple[int, int | None]] = []  # positions of the start and of the separator
    changes_of_depth = [0] * len(contents)
    for position, child in enumerate(contents):
        if _name(child) != "w:fldChar":
            continue
        kind = _attribute(child, "fldCharType", "")
        if kind == "begin":
            open_fields.append((position, None))
        elif open_fields and kind == "separate":
            open_fields.append((open_fields.pop()[0], position))
        elif open_fields and kind == "end":
            start, separator = open_fields.pop()
            changes_of_depth[start] += 1
            changes_of_depth[position if separator is None else separator] -= 1
    depths = accumulate(changes_of_depth)
    for run in runs:
        run[:] = [child for child in run if next(depths) == 0 and _name(child) != "w:fldChar"]
