"""What is known of a file from its container."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Container:
    """What a file claims to be.

    Attributes:
        kind: ``mp4``, ``matroska``, ``avi``, ``mpegts``, ``mpegps``, ``elementary`` (a bare stream without container),
            ``sound``, ``playlist``, ``other`` (a known video container that is not walked), or ``unknown``.
        has_video: Whether a video track is named; None where that cannot be told without decoding.
        has_frames: False where all of the file was seen and no frame is in it.
        has_index: False for an mp4 whose ``moov`` box was never written.
        num_bytes_announced: The length of the file according to the container; None if it has none.
        width: Widest frame that a track header names, in pixels; 0 where none does.
        height: Its height.
        fault: What is wrong with its boxes, in words; nothing if they fit into each other.
        is_fragmented: Whether an mp4 is written in pieces, as by recorders and for streaming.
        hides_frames: Whether an edit list shows only a part of the frames that are stored.
        packets: Of a transport stream the bytes of a packet, those before the first one, and the id of the video.
        is_hdr: Whether a track is marked with an HDR transfer function.
        is_interlaced: Whether a track is marked as interlaced.
    """

    kind: str
    has_video: bool | None = None
    has_frames: bool = True
    has_index: bool = True
    num_bytes_announced: int | None = None
    width: int = 0
    height: int = 0
    fault: str = ""
    is_fragmented: bool = False
    hides_frames: bool = False
    packets: tuple[int, int, int] | None = None
    is_hdr: bool = False
    is_interlaced: bool = False

    @property
    def loses_frames_silently(self) -> bool:
        """Whether packets can be lost without a trace; there a gap in the times is missing frames, else a pause."""
        return self.kind in ("mpegts", "mpegps") or self.is_fragmented

    @property
    def counts_frames(self) -> bool:
        """Whether its header names exactly the frames that are to be shown."""
        return (self.kind == "mp4" and not self.hides_frames and not self.is_fragmented) or self.kind == "avi"

    @property
    def has_frame_times(self) -> bool:
        """Whether the container stores a time for each frame; avi and bare streams only have a rate."""
        return self.kind not in ("avi", "elementary")

    def at_least(self, width: int, height: int) -> Container:
        """The same with this size, if it is larger."""
        return replace(self, width=width, height=height) if width * height > self.width * self.height else self
