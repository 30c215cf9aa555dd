"""Figures → SVG elements for a page."""

from __future__ import annotations

import io
import re
import warnings
import xml.etree.ElementTree as ET

import matplotlib as mpl
from matplotlib.figure import Figure

from videoseq.inference.drawing import visible

_REFERENCE = re.compile(r"(?<=url\(#)[\w-]+|(?<=^#)[\w-]+(?=$)")


def to_svg(figure: Figure, title: str, key: str) -> str:
    """The picture as an SVG element to put into a page.

    Args:
        figure: The picture.
        title: The description for screen readers.
        key: Begins the element's ids, so that those of several pictures in a page differ.
    """
    text = io.StringIO()
    with (
        mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "videoseq", "hatch.linewidth": 0.6}),
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # the reader's fonts draw it, not ours
        figure.savefig(text, format="svg", metadata={"Date": None}, transparent=True)  # the page has the paper
    root = ET.fromstring(text.getvalue())  # noqa: S314 (matplotlib's own)
    for parent in list(root.iter()):
        for child in [one for one in parent if one.tag.endswith(("}metadata", "}style"))]:
            parent.remove(child)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        for name, value in list(element.attrib.items()):
            del element.attrib[name]
            element.set(name.rpartition("}")[2], _with_key(name, value, key))
    _drop_unused_ids(root)
    root.set("role", "img")
    root.set("aria-labelledby", f"{key}-title")
    named = ET.Element("title", id=f"{key}-title")
    named.text = visible(title)
    root.insert(0, named)
    root.text = None
    return ET.tostring(root, encoding="unicode")


def _with_key(name: str, value: str, key: str) -> str:
    """An attribute's value with ``key`` before the id in it, if it is one or refers to one."""
    if name == "id":
        return f"{key}-{value}"
    if name.endswith("href") or "url(#" in value:
        return _REFERENCE.sub(lambda match: f"{key}-{match[0]}", value)
    return value


def _drop_unused_ids(root: ET.Element) -> None:
    """Leaves out the ids that nothing refers to, which are most."""
    values = [value for element in root.iter() for name, value in element.attrib.items() if name != "id"]
    used = {match[0] for value in values for match in _REFERENCE.finditer(value)}
    for element in root.iter():
        if element.get("id", "") not in used:
            element.attrib.pop("id", None)
