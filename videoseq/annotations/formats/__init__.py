"""Files of other tools ↔ annotations: one small module per format."""

from __future__ import annotations

from videoseq.annotations.formats.files import ANNOTATION_SUFFIXES, find_annotation, read_annotation, write_annotation

__all__ = ["ANNOTATION_SUFFIXES", "find_annotation", "read_annotation", "write_annotation"]
