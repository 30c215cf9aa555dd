"""Odd video files: every container, clock, picture format and kind of damage that a reader of videos meets.

``CASES`` names a function for each; it writes one file into a folder and tells the truth about it. All is generated
here, by PyAV and by surgery on bytes, and every run writes the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import cv2
import numpy as np

from tests.support.index_videos import HEIGHT, WIDTH, spell

MILLISECOND = Fraction(1, 1000)
FRAME = Fraction(1, 25)  # of the files whose rate is nothing special
SIZE = WIDTH, HEIGHT
PACKET = 188  # bytes of a transport stream's packet
VARIABLE = tuple(np.cumsum([0, *np.random.default_rng(0).integers(10, 400, size=39)]).tolist())
ROTATED_DEGREES = {"rotated_90": 90, "rotated_180": 180, "rotated_270": 270}  # clockwise, to stand upright

Draw = Callable[[int, int, int], np.ndarray]


@dataclass(frozen=True)
class Odd:
    """A file and the truth about it.

    Attributes:
        path: The file.
        spelled: What the decodable frames spell, upright and in the order of presentation; ``None`` where damage
            makes it unknowable. The damaged files spell 0, 1, 2, … at 25 frames per second, so that frame ``k`` of
            what they were stands at ``k / 25`` seconds.
        seconds: When each frame is shown, the first at 0.0, by the timestamps written; ``None`` if unknowable or if
            the container has none.
    """

    path: Path
    spelled: tuple[int, ...] | None
    seconds: tuple[float, ...] | None


CASES: dict[str, Callable[[Path], Odd]] = {}


def case(function: Callable[[Path], Odd]) -> Callable[[Path], Odd]:
    """Names the case by its function."""
    CASES[function.__name__] = function
    return function


# ---------------------------------------------------------------------------------------------------------- writers


def grainy(index: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """Spells with noise, so that a frame has bytes enough to be damaged."""
    noise = np.random.default_rng(index).integers(-20, 21, (height, width, 1))
    return (spell(index, width, height).astype(int) + noise).clip(0, 255).astype(np.uint8)


def translucent(index: int, width: int, height: int) -> np.ndarray:
    """Spells in RGBA: transparent at the left, opaque at the right."""
    alpha = np.broadcast_to(np.linspace(0, 255, width, dtype=np.uint8)[None, :, None], (height, width, 1))
    return np.concatenate([spell(index, width, height), alpha], axis=2)


def new_file(path: Path, **muxer: str):
    """An open container, of the format that its suffix says, without random identifiers."""
    return av.open(str(path), "w", container_options={"fflags": "bitexact", **muxer})


def video_stream(container, codec="libx264", tick=FRAME, size=SIZE, pix_fmt="yuv420p", rate=25, color=(), **options):
    """A stream that counts time in ``tick``; ``color`` is primaries, transfer and matrix by their ITU numbers."""
    stream = container.add_stream(codec, rate=rate, options={"threads": "1", **options})
    stream.width, stream.height = size
    stream.pix_fmt = pix_fmt
    stream.time_base = stream.codec_context.time_base = tick
    if color:
        context = stream.codec_context
        context.color_primaries, context.color_trc, context.colorspace = color
    return stream


def packets(stream, spelled: Iterable[int], ticks: Iterable[int], draw: Draw = spell) -> Iterator[av.Packet]:
    """The encoded frames."""
    width, height = stream.width, stream.height
    for index, when in zip(spelled, ticks, strict=True):
        image = draw(index, width, height)
        frame = av.VideoFrame.from_ndarray(image, format="rgba" if image.shape[2] == 4 else "rgb24")
        frame.pts, frame.time_base = when, stream.codec_context.time_base
        yield from stream.encode(frame)
    yield from stream.encode()


def write(
    path: Path,
    spelled: Sequence[int] = range(30),
    ticks: Sequence[int] | None = None,
    *,
    tick: Fraction = FRAME,
    draw: Draw = spell,
    muxer: dict[str, str] | None = None,
    **stream_options,
) -> Odd:
    """One video stream that spells ``spelled`` at ``ticks`` times ``tick`` seconds."""
    ticks = range(len(spelled)) if ticks is None else ticks
    with new_file(path, **(muxer or {})) as container:
        stream = video_stream(container, tick=tick, **stream_options)
        container.mux(packets(stream, spelled, ticks, draw))
    return Odd(path, tuple(spelled), seconds_of(ticks, tick))


def write_stamped(path: Path, num_frames: int, stamps: Sequence[int]) -> Odd:
    """Frames that keep their order though their presentation times, in milliseconds, do not."""
    with new_file(path) as container:
        stream = video_stream(container, tick=MILLISECOND, bf="0", g="12")
        for number, packet in enumerate(packets(stream, range(num_frames), range(0, 40 * num_frames, 40))):
            packet.pts, packet.dts = stamps[number], number  # a muxer asks that decoding times rise and are no later
            container.mux(packet)
    return Odd(path, tuple(range(num_frames)), seconds_of(stamps, MILLISECOND))


def seconds_of(ticks: Iterable[int], tick: Fraction) -> tuple[float, ...]:
    """Seconds after the first."""
    first, *_ = ticks = list(ticks)
    return tuple(float((when - first) * tick) for when in ticks)


def mux_sound(container, codec: str, seconds: float, rate: int = 48000) -> None:
    """A tone from 0 on."""
    stream = container.add_stream(codec, rate=rate, layout="mono")
    for start in range(0, int(seconds * rate), 1024):
        tone = (8000 * np.sin(440 * 2 * math.pi * np.arange(start, start + 1024) / rate)).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(tone[None], format="s16", layout="mono")
        frame.rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        container.mux(stream.encode(frame))
    container.mux(stream.encode())


def patched(path: Path, *changes: tuple[bytes, bytes]) -> Path:
    """Each change once, at the first place where it fits, in the file itself."""
    stored = path.read_bytes()
    for old, new in changes:
        assert len(old) == len(new), (old, new)
        assert old in stored, old
        stored = stored.replace(old, new, 1)
    path.write_bytes(stored)
    return path


def truncated(path: Path, fraction: float, out: Path) -> Path:
    """The first ``fraction`` of the bytes."""
    stored = path.read_bytes()
    out.write_bytes(stored[: int(len(stored) * fraction)])
    return out


def damaged(path: Path, out: Path, at: float, length: int, seed: int) -> Path:
    """``length`` bytes made random from the fraction ``at`` of the file on."""
    stored = bytearray(path.read_bytes())
    start = int(len(stored) * at)
    length = min(length, len(stored) - start)
    stored[start : start + length] = np.random.default_rng(seed).bytes(length)
    out.write_bytes(stored)
    return out


def joined(out: Path, parts: Sequence[Odd], starts: Sequence[float]) -> Odd:
    """Files one after the other, byte by byte; each part begins ``starts`` seconds after the whole."""
    out.write_bytes(b"".join(part.path.read_bytes() for part in parts))
    spelled = tuple(index for part in parts for index in part.spelled)
    return Odd(out, spelled, tuple(start + s for part, start in zip(parts, starts, strict=True) for s in part.seconds))


# --------------------------------------------------------------------------------- rates, containers, picture formats

VPX = {"deadline": "realtime", "cpu-used": "8"}
HDR = {"pix_fmt": "yuv420p10le", "color": (9, 16, 9)}  # BT.2020, SMPTE ST 2084 ("PQ")
GROUPS = {"bf": "2", "g": "12", "x264-params": "open-gop=1:keyint=12:min-keyint=12:scenecut=0:b-adapt=0"}
FIELDS = {"flags": "+ildct+ilme"}
FRAGMENTS = {"movflags": "empty_moov+frag_keyframe"}


def _written(name: str, suffix: str, folder: Path, **options) -> Odd:
    return write(folder / f"{name}{suffix}", **options)


def _table(**rows: tuple[str, dict]) -> None:
    for name, (suffix, options) in rows.items():
        CASES[name] = partial(_written, name, suffix, **options)


_table(
    mp4=(".mp4", {}),
    mkv=(".mkv", {}),
    webm_vp8=(".webm", {"codec": "libvpx", **VPX}),
    webm_vp9=(".webm", {"codec": "libvpx-vp9", **VPX}),
    avi_mpeg4=(".avi", {"codec": "mpeg4"}),
    avi_mjpeg=(".avi", {"codec": "mjpeg", "pix_fmt": "yuvj420p"}),
    ts=(".ts", {"bf": "0"}),
    mpg=(".mpg", {"codec": "mpeg2video"}),
    gif=(".gif", {"codec": "gif", "pix_fmt": "rgb8"}),
    fragmented_mp4=(".mp4", {"muxer": FRAGMENTS, "g": "12"}),
    rate_ntsc=(".mp4", {"tick": Fraction(1001, 30000), "rate": Fraction(30000, 1001)}),
    rate_1=(".mp4", {"tick": Fraction(1), "rate": 1}),
    rate_1000=(".mp4", {"tick": MILLISECOND, "rate": 1000, "spelled": range(120)}),
)
_VARIABLE = {"spelled": range(40), "ticks": VARIABLE, "tick": MILLISECOND}
_table(
    variable_mp4=(".mp4", _VARIABLE),
    variable_mkv=(".mkv", _VARIABLE),
    variable_webm=(".webm", {**_VARIABLE, "codec": "libvpx", **VPX}),
    variable_ts=(".ts", _VARIABLE),
    b_frames_mp4=(".mp4", {"bf": "3", "b_strategy": "0"}),
    b_frames_mkv=(".mkv", {"bf": "3", "b_strategy": "0"}),
    b_frames_ts=(".ts", {"bf": "3", "b_strategy": "0"}),
    b_frames_avi=(".avi", {"codec": "mpeg4", "bf": "2"}),
    b_frames_mpg=(".mpg", {"codec": "mpeg2video", "bf": "2"}),
    open_groups_mp4=(".mp4", {"spelled": range(60), **GROUPS}),
    open_groups_ts=(".ts", {"spelled": range(60), **GROUPS}),
    late_start_mkv=(".mkv", {"ticks": range(250, 280)}),
    late_start_ts=(".ts", {"ticks": range(250, 280)}),
    late_start_mp4=(".mp4", {"ticks": range(250, 280)}),
)
_table(
    size_33x17=(".mkv", {"codec": "ffv1", "pix_fmt": "yuv444p", "size": (33, 17)}),
    size_33x17_h264=(".mp4", {"pix_fmt": "yuv444p", "size": (33, 17), "qp": "4"}),
    size_16x16=(".mp4", {"size": (16, 16)}),
    one_frame=(".mp4", {"spelled": [7]}),
    ten_bit_h264=(".mp4", {"pix_fmt": "yuv420p10le"}),
    ten_bit_hevc=(".mp4", {"codec": "libx265", "pix_fmt": "yuv420p10le", "x265-params": "log-level=none:pools=1"}),
    ten_bit_ffv1=(".mkv", {"codec": "ffv1", "pix_fmt": "yuv420p10le"}),
    hdr_mp4=(".mp4", HDR),
    hdr_mkv=(".mkv", HDR),
    alpha_qtrle=(".mov", {"codec": "qtrle", "pix_fmt": "argb", "draw": translucent}),
    alpha_png=(".mov", {"codec": "png", "pix_fmt": "rgba", "draw": translucent}),
    alpha_prores=(".mov", {"codec": "prores_ks", "pix_fmt": "yuva444p10le", "draw": translucent, "profile": "4444"}),
    alpha_ffv1=(".mkv", {"codec": "ffv1", "pix_fmt": "yuva420p", "draw": translucent}),
    interlaced_mpg=(".mpg", {"codec": "mpeg2video", **FIELDS}),
    interlaced_mkv=(".mkv", FIELDS),
    interlaced_ts=(".ts", FIELDS),
    gray_16_bit=(".mkv", {"codec": "ffv1", "pix_fmt": "gray16le"}),
)


@case
def raw_h264(folder: Path) -> Odd:
    """An elementary stream: no times."""
    return Odd(*(write(folder / "raw.h264").path, tuple(range(30)), None))


def _rotated(name: str, folder: Path) -> Odd:
    turns = ROTATED_DEGREES[name] // 90
    upright = (WIDTH, HEIGHT) if turns == 2 else (HEIGHT, WIDTH)
    odd = write(folder / f"{name}.mp4", size=upright, draw=lambda i, *_: np.rot90(spell(i), turns).copy())
    matrix = {0: (1, 0, 0, 1), 1: (0, 1, -1, 0), 2: (-1, 0, 0, -1), 3: (0, -1, 1, 0)}
    tails = [_matrix(*matrix[n]) for n in (0, turns)]
    stored = odd.path.read_bytes()
    at = stored.index(tails[0], stored.index(b"tkhd"))  # the movie's header has such a matrix too
    odd.path.write_bytes(stored[:at] + tails[1] + stored[at + len(tails[1]) :])
    return odd


@case
def interlaced_halfway_ts(folder: Path) -> Odd:
    """Progressive pictures, then interlaced ones."""
    first = write(folder / "halfway_progressive.ts", range(20), bf="0")
    second = write(folder / "halfway_interlaced.ts", range(20, 40), range(20, 40), bf="0", **FIELDS)
    return joined(folder / "interlaced_halfway.ts", [first, second], [0.0, float(20 * FRAME)])


@case
def edit_list_mp4(folder: Path) -> Odd:
    """Cut without being encoded again: an edit list hides frames 0 to 14, of which the decoder needs 12 to 14."""
    odd = write(folder / "edit_list.mp4", range(40), g="12", bf="0", sc_threshold="0")
    stored = bytearray(odd.path.read_bytes())
    at = stored.index(b"mdhd") + 4 + 12  # version and flags, two dates; the ticks per second
    timescale = int.from_bytes(stored[at : at + 4], "big")
    at = stored.index(b"elst") + 4 + 12  # version and flags, number of edits, duration; the first time shown
    assert not any(stored[at : at + 4])
    stored[at : at + 4] = (15 * timescale // 25).to_bytes(4, "big")
    odd.path.write_bytes(stored)
    return Odd(odd.path, odd.spelled[15:], seconds_of(range(15, 40), FRAME))


def _matrix(a: int, b: int, c: int, d: int) -> bytes:
    numbers = (a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    return b"".join((number & 0xFFFFFFFF).to_bytes(4, "big") for number in numbers)


CASES.update({name: partial(_rotated, name) for name in ROTATED_DEGREES})

# ------------------------------------------------------------------------------------------------- several streams


def _two_videos(name: str, suffix: str, folder: Path) -> Odd:
    path = folder / f"{name}{suffix}"
    with new_file(path) as container:
        streams = [video_stream(container), video_stream(container, size=(192, 144))]
        for stream, start in zip(streams, (0, 500), strict=True):
            container.mux(packets(stream, range(start, start + 30), range(30)))
    return Odd(path, tuple(range(30)), seconds_of(range(30), FRAME))


def _sound_around(name: str, suffix: str, folder: Path) -> Odd:
    """Sound from 0 to 4 s, pictures from 1 to 2.2 s."""
    path = folder / f"{name}{suffix}"
    with new_file(path) as container:
        stream = video_stream(container)
        mux_sound(container, "aac", 4.0)
        container.mux(packets(stream, range(30), range(25, 55)))
    return Odd(path, tuple(range(30)), seconds_of(range(30), FRAME))


def _sound_only(name: str, suffix: str, codec: str, folder: Path) -> Odd:
    path = folder / f"{name}{suffix}"
    with new_file(path) as container:
        mux_sound(container, codec, 1.0)
    return Odd(path, (), ())


for _kind in ("mkv", "mp4"):
    CASES[f"two_videos_{_kind}"] = partial(_two_videos, f"two_videos_{_kind}", f".{_kind}")
for _kind in ("mkv", "mp4", "ts"):
    CASES[f"sound_around_{_kind}"] = partial(_sound_around, f"sound_around_{_kind}", f".{_kind}")
for _kind, _codec in {
    "mp4": "aac",
    "mkv": "aac",
    "wav": "pcm_s16le",
    "mp3": "libmp3lame",
    "ogg": "libopus",
    "ts": "aac",
    "avi": "libmp3lame",
}.items():
    CASES[f"sound_only_{_kind}"] = partial(_sound_only, f"sound_only_{_kind}", f".{_kind}", _codec)

# ------------------------------------------------------------------------------------------------------- no videos


def _bytes(name: str, make: Callable[[], bytes], folder: Path) -> Odd:
    path = folder / f"{name}.mp4"
    path.write_bytes(make())
    return Odd(path, (), ())


def _picture(name: str, suffix: str, folder: Path) -> Odd:
    done, encoded = cv2.imencode(suffix, spell(7))
    assert done
    return Odd(_bytes(name, encoded.tobytes, folder).path, (7,), (0.0,))


def _header_only(name: str, muxer: dict[str, str], folder: Path) -> Odd:
    whole = write(folder / f"{name}_whole.mp4", muxer=muxer).path
    return _bytes(name, lambda: whole.read_bytes()[:200], folder)


def _no_frames(name: str, suffix: str, codec: str, folder: Path) -> Odd:
    path = folder / f"{name}{suffix}"
    with new_file(path) as container:
        video_stream(container, codec=codec)
        container.start_encoding()
    return Odd(path, (), ())


@case
def no_samples_mp4(folder: Path) -> Odd:
    """A track with a size and a codec but no frame."""
    whole = write(folder / "no_samples_whole.mp4", muxer=FRAGMENTS).path.read_bytes()
    return _bytes("no_samples", lambda: whole[: whole.index(b"moof") - 4], folder)


FIRST = {"movflags": "faststart"}  # the index (moov) before the pictures
CASES.update(
    empty=partial(_bytes, "empty", bytes),
    text=partial(_bytes, "text", lambda: b"not a video\n" * 100),
    noise=partial(_bytes, "noise", lambda: np.random.default_rng(0).bytes(20_000)),
    picture_png=partial(_picture, "picture_png", ".png"),
    picture_jpeg=partial(_picture, "picture_jpeg", ".jpg"),
    header_only=partial(_header_only, "header_only", {}),
    header_only_moov_first=partial(_header_only, "header_only_moov_first", FIRST),
    no_frames_mp4=partial(_no_frames, "no_frames_mp4", ".mp4", "libx264"),
    no_frames_mkv=partial(_no_frames, "no_frames_mkv", ".mkv", "libx264"),
    no_frames_avi=partial(_no_frames, "no_frames_avi", ".avi", "mpeg4"),
)

# ---------------------------------------------------------------------------------------------------------- damage

_WHOLE: dict[str, tuple[str, dict]] = {
    "mp4": (".mp4", {"muxer": FIRST, "g": "12"}),
    "mp4_moov_last": (".mp4", {"g": "12"}),
    "mkv": (".mkv", {"g": "12"}),
    "avi": (".avi", {"codec": "mjpeg", "pix_fmt": "yuvj420p"}),
    "ts": (".ts", {"g": "12"}),
    "mpg": (".mpg", {"codec": "mpeg2video", "g": "12"}),
    "webm": (".webm", {"codec": "libvpx", "g": "12", "b": "1M", **VPX}),
}


def whole(kind: str, folder: Path) -> Odd:
    """A hundred grainy frames at 25 a second, undamaged."""
    suffix, options = _WHOLE[kind]
    return write(folder / f"whole_{kind}{suffix}", range(100), draw=grainy, **options)


def _truncated(name: str, kind: str, percent: int, folder: Path) -> Odd:
    source = whole(kind, folder)
    out = truncated(source.path, percent / 100, folder / f"{name}{source.path.suffix}")
    return Odd(out, (), ()) if kind == "mp4_moov_last" else Odd(out, None, None)


def _damaged(name: str, kind: str, folder: Path) -> Odd:
    source = whole(kind, folder)
    length = source.path.stat().st_size // 20
    return Odd(damaged(source.path, folder / f"{name}{source.path.suffix}", 0.5, length, seed=1), None, None)


for _kind, _percent in [
    *(("mp4", percent) for percent in (30, 60, 90)),
    *((kind, 60) for kind in ("mp4_moov_last", "mkv", "avi", "ts", "mpg", "webm")),
]:
    _name = f"truncated_{_kind}_{_percent}"
    CASES[_name] = partial(_truncated, _name, _kind, _percent)
for _kind in ("mp4", "mkv", "avi", "ts", "mpg", "webm"):
    CASES[f"damaged_{_kind}"] = partial(_damaged, f"damaged_{_kind}", _kind)


@case
def gap_ts(folder: Path) -> Odd:
    """Packets lost in the middle, wherever a picture was."""
    stored = whole("ts", folder).path.read_bytes()
    count = len(stored) // PACKET
    path = folder / "gap.ts"
    path.write_bytes(stored[: count * 40 // 100 * PACKET] + stored[count * 55 // 100 * PACKET :])
    return Odd(path, None, None)


@case
def gap_of_whole_groups_ts(folder: Path) -> Odd:
    """Groups 2 and 3 of 7 lost: the pictures that remain are right, and the times jump."""
    whole = write(folder / "groups.ts", range(84), draw=grainy, g="12", bf="0", sc_threshold="0")
    with av.open(str(whole.path)) as container:
        starts = [packet.pos for packet in container.demux(video=0) if packet.is_keyframe and packet.size]
    assert len(starts) == 7, starts
    stored = whole.path.read_bytes()
    path = folder / "gap_of_whole_groups.ts"
    path.write_bytes(stored[: starts[2]] + stored[starts[4] :])
    left = (*range(24), *range(48, 84))
    return Odd(path, left, seconds_of(left, FRAME))


# ----------------------------------------------------------------------------------------------------- odd clocks


def _size_change(name: str, start: int, folder: Path) -> Odd:
    small = write(folder / f"{name}_small.ts", range(20), bf="0")
    large = write(folder / f"{name}_large.ts", range(20, 40), range(start, start + 20), size=(192, 144), bf="0")
    return joined(folder / f"{name}.ts", [small, large], [0.0, float(start * FRAME)])


CASES["size_change"] = partial(_size_change, "size_change", 20)
CASES["size_change_restarted"] = partial(_size_change, "size_change_restarted", 0)


@case
def restarted_ts(folder: Path) -> Odd:
    """The clock starts again in the middle."""
    halves = [write(folder / f"half{n}.ts", range(20 * n, 20 * n + 20), bf="0") for n in (0, 1)]
    return joined(folder / "restarted.ts", halves, [0.0, 0.0])


def _stamped(name: str, suffix: str, changes: dict[int, int], folder: Path) -> Odd:
    """Frame ``k`` at 1000 + 40 k milliseconds but for the changes, from frame to the frame whose time it takes."""
    stamps = [1000 + 40 * changes.get(k, k) for k in range(40)]
    return write_stamped(folder / f"{name}{suffix}", 40, stamps)


for _kind in ("mkv", "ts"):
    for _name, _changes in {"repeated": {11: 10, 20: 18, 19: 18}, "jump_back": {20: 10}}.items():
        CASES[f"{_name}_{_kind}"] = partial(_stamped, f"{_name}_{_kind}", f".{_kind}", _changes)

# -------------------------------------------------------------------------------------------------------- hostile


def bomb(folder: Path, suffix: str = ".mkv") -> Odd:
    """Two pictures of 8192 × 8192 in a small file."""
    path = folder / f"bomb{suffix}"
    gray = np.full((8192 * 3 // 2, 8192), 128, np.uint8)
    gray[:8192] = 60
    with new_file(path) as container:
        stream = video_stream(container, size=(8192, 8192), preset="ultrafast", tune="zerolatency")
        for number in range(2):
            frame = av.VideoFrame.from_ndarray(gray, format="yuv420p")
            frame.pts, frame.time_base = number, FRAME
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return Odd(path, (0, 0), (0.0, float(FRAME)))


def lying_bomb(folder: Path, suffix: str = ".mkv") -> Odd:
    """The bomb in a container, ``.mkv`` or ``.mp4``, that says 64 × 64."""
    odd = bomb(folder, suffix)
    large, small = (8192).to_bytes(2, "big"), (64).to_bytes(2, "big")
    if suffix == ".mkv":
        change = tuple(b"\xb0\x82" + side + b"\xba\x82" + side for side in (large, small))
        path = patched(odd.path, change)
    else:
        track = tuple(b"\x40\0\0\0" + 2 * (side + b"\0\0") for side in (large, small))  # after the matrix
        entry = tuple(16 * b"\0" + 2 * side + b"\0\x48\0\0" for side in (large, small))  # before the resolution
        path = patched(odd.path, track, entry)
    return Odd(path.rename(folder / f"lying_bomb{suffix}"), odd.spelled, odd.seconds)


def playlists(folder: Path, port: int) -> list[Path]:
    """Texts that name another file or an address on this machine, under their own suffix and as ``.mp4``.

    What they name exists: ``sibling.ts``, a video.
    """
    sibling = write(folder / "sibling.ts", range(10), bf="0").path
    places = {"relative": sibling.name, "absolute": str(sibling), "remote": f"http://127.0.0.1:{port}/sibling.ts"}
    forms = {
        "m3u8": "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n",
        "ffconcat": "ffconcat version 1.0\nfile '{}'\n",
        "mpd": '<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
        'profiles="urn:mpeg:dash:profile:isoff-main:2011" mediaPresentationDuration="PT0.4S" minBufferTime="PT1S">'
        '<Period><AdaptationSet mimeType="video/mp2t"><Representation id="0" bandwidth="9000" width="128" height="96">'
        "<BaseURL>{}</BaseURL></Representation></AdaptationSet></Period></MPD>\n",
        "smil": '<smil><body><video src="{}"/></body></smil>\n',
        "asx": '<asx version="3.0"><entry><ref href="{}"/></entry></asx>\n',
        "pls": "[playlist]\nFile1={}\nNumberOfEntries=1\nVersion=2\n",
    }
    texts = {f"{place}.{kind}": form.format(at) for kind, form in forms.items() for place, at in places.items()}
    texts["call.sdp"] = (
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
        f"m=video {port} RTP/AVP 96\na=rtpmap:96 H264/90000\n"
    )
    paths = [folder / (name + suffix) for name in texts for suffix in ("", ".mp4")]
    for path in paths:
        path.write_text(texts[path.name.removesuffix(".mp4")], encoding="utf-8")
    return paths
