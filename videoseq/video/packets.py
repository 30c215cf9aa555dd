"""What a second library sees in a file, without decoding it: streams, packets, clocks. Needs PyAV (extra ``check``)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videoseq.errors import VideoError
from videoseq.video.capture import FFMPEG_OPTIONS
from videoseq.video.safe_file import SafeFile

if TYPE_CHECKING:
    from av.stream import Stream


@dataclass(frozen=True)
class PacketInfo:
    """A file's streams, and the packets of the one that is read.

    Attributes:
        container: The container's name in full.
        streams: One line for each stream.
        num_packets: Packets of the first video stream, each a frame, without those that an edit list hides.
        num_corrupt_packets: Those that the container marks as damaged.
        start_seconds: The stream's own time of its first frame.
        container_start_seconds: The earliest time of any stream, where players begin.
        average_fps: Frames over duration, as the container has it.
    """

    container: str
    streams: tuple[str, ...]
    num_packets: int
    num_corrupt_packets: int
    start_seconds: float | None
    container_start_seconds: float | None
    average_fps: float | None

    def as_dict(self) -> dict[str, Any]:
        """The fields, ready for JSON."""
        return asdict(self)


def read_packets(path: Path) -> PacketInfo:
    """Reads a file to its end without decoding it.

    Raises:
        VideoError: It cannot be opened, or has no video stream.
    """
    import av

    source = SafeFile(path)
    try:
        with av.open(source, mode="r", options=FFMPEG_OPTIONS) as container:
            stream = next(iter(container.streams.video), None)
            if stream is None:
                raise VideoError("no_video_stream", f"{path}: expected video, got streams of sound or data alone")
            num_packets = num_corrupt = 0
            for packet in container.demux(stream):
                if packet.size and not packet.is_discard:
                    num_packets += 1
                    num_corrupt += packet.is_corrupt
            tick_seconds = float(stream.time_base or 0)
            return PacketInfo(
                container=container.format.long_name,
                streams=tuple(_describe(each) for each in container.streams),
                num_packets=num_packets,
                num_corrupt_packets=num_corrupt,
                start_seconds=None if stream.start_time is None else stream.start_time * tick_seconds,
                container_start_seconds=None if container.start_time is None else container.start_time / av.time_base,
                average_fps=float(stream.average_rate) if stream.average_rate else None,
            )
    except av.error.FFmpegError as error:
        source.raise_pending()
        raise VideoError("unsupported", f"{path}: PyAV could not read its packets; {error}") from None
    finally:
        source.close()


def _describe(stream: Stream) -> str:
    from av.video.codeccontext import VideoCodecContext

    context = getattr(stream, "codec_context", None)  # a data stream has none
    text = f"{stream.index} {stream.type}" + (f" {context.name}" if context else "")
    if isinstance(context, VideoCodecContext):
        return f"{text} {context.width}x{context.height} {context.pix_fmt}"
    return text
