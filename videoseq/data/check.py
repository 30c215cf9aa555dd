"""A video and its annotation → what is wrong with the video, and whether the annotation fits it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from videoseq.annotations.repair import Fit, check_fit, write_repaired
from videoseq.errors import AnnotationError, ConfigError
from videoseq.video.check import VideoCheck, check_video
from videoseq.video.frames import OnFrames
from videoseq.video.isolation import DecoderProcess


@dataclass(frozen=True, eq=False)
class ClipCheck:
    """A video, its annotation if it has one, and what is wrong with either.

    Attributes:
        video: What is known of the video.
        annotation: The annotation file; None if the video has none.
        fit: How the annotation fits; None if it was not compared: no annotation, or it or the video cannot be read.
        annotation_error: Why the annotation cannot be read; empty if it can, or was not read.

    Example:
        >>> [found] = videoseq.check("clip.mp4")
        >>> found.video.state
        'complete'
    """

    video: VideoCheck
    annotation: Path | None = None
    fit: Fit | None = None
    annotation_error: str = ""

    @property
    def is_ok(self) -> bool:
        """Whether the video is complete and the annotation, if there is one, fits."""
        findings = self.fit.findings if self.fit else ()
        return self.video.state == "complete" and not self.annotation_error and not any(f.is_error for f in findings)

    def as_dict(self) -> dict[str, Any]:
        """The check as JSON-ready fields."""
        fields = self.video.as_dict()
        if self.annotation is not None:
            findings = [asdict(finding) for finding in self.fit.findings] if self.fit else []
            fields["annotation"] = {
                "path": str(self.annotation), "error": self.annotation_error, "findings": findings,
            }  # fmt: skip
        return fields

    def write_repaired(self, path: Path) -> None:
        """Writes the repaired annotation to ``path``; nothing if nothing was repaired.

        Raises:
            ConfigError: ``path`` is the annotation itself.
            OutputError: It cannot be written.
        """
        if self.fit is None or self.annotation is None:
            return
        if path.exists() and path.samefile(self.annotation):
            raise ConfigError(f"fix: expected another path than {self.annotation}; the original is kept")
        if self.fit.is_repaired:
            write_repaired(self.fit, path)


def check_clip(
    video: Path,
    annotation: Path | None,
    decoder: DecoderProcess,
    on_progress: OnFrames | None = None,
    *,
    is_multilabel: bool = False,
) -> ClipCheck:
    """Reads every frame of a video and compares its annotation with the frames' times.

    Args:
        video: The video file.
        annotation: The annotation of the video, if it has one.
        decoder: The process that reads the video.
        on_progress: Hears the index of the current frame and the fraction of the file that was read.
        is_multilabel: Whether behaviors may overlap.
    """
    found = check_video(video, decoder, on_progress)
    if annotation is None or found.report is None or found.info is None:
        return ClipCheck(found, annotation)
    try:
        times = found.seconds, found.report.duration_seconds, found.info.fps_from_header
        fit = check_fit(annotation, *times, is_multilabel=is_multilabel)
    except AnnotationError as error:
        return ClipCheck(found, annotation, annotation_error=str(error))
    return ClipCheck(found, annotation, fit)
