"""The header of a video stream → whether it is interlaced, if the container does not tell.

Two fields of a moment apart are woven into each decoded picture; nothing in the decoder's answer tells.
"""

from __future__ import annotations

import re

_PARAMETER_SET = re.compile(rb"\x00\x00\x01[\x27\x47\x67]|\x01[\x42-\xf4]..[\xfc-\xff]\xe1..[\x27\x47\x67]", re.DOTALL)
_MPEG2_SEQUENCE = b"\x00\x00\x01\xb3"
_HIGH_PROFILES = frozenset([100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135])


def is_interlaced(data: bytes) -> bool:
    """Whether an MPEG-2 or H.264 header in these bytes marks the video as interlaced."""
    return is_mpeg2_interlaced(data) if _MPEG2_SEQUENCE in data else is_h264_interlaced(data)


def is_mpeg2_interlaced(data: bytes) -> bool:
    """Whether an MPEG-2 sequence extension (ISO/IEC 13818-2, 6.2.2.3) has ``progressive_sequence`` unset."""
    at = data.find(b"\x00\x00\x01\xb5")
    return 0 <= at < len(data) - 5 and data[at + 4] >> 4 == 1 and not data[at + 5] & 0x08


def is_h264_interlaced(data: bytes) -> bool:
    """Whether the first H.264 sequence parameter set has ``frame_mbs_only_flag`` unset.

    It is found after a start code (ITU-T H.264, annex B) or in an ``avcC`` record (ISO/IEC 14496-15, 5.3.3).
    """
    found = _PARAMETER_SET.search(data)
    if found is None:
        return False
    try:
        return not _frame_mbs_only(_Bits(data[found.end() : found.end() + 128].replace(b"\x00\x00\x03", b"\x00\x00")))
    except IndexError:
        return False


class _Bits:
    """Bits from the most significant on; IndexError at the end."""

    def __init__(self, data: bytes) -> None:
        self._bits = "".join(f"{byte:08b}" for byte in data)
        self._at = 0

    def fixed(self, length: int) -> int:
        self._at += length
        if self._at > len(self._bits):
            raise IndexError
        return int(self._bits[self._at - length : self._at] or "0", 2)

    def exp_golomb(self) -> int:
        """An unsigned Exp-Golomb code (H.264, 9.1)."""
        num_zeros = 0
        while not self.fixed(1):
            num_zeros += 1
        return (1 << num_zeros) - 1 + self.fixed(num_zeros)


def _frame_mbs_only(bits: _Bits) -> bool:
    """``frame_mbs_only_flag`` of a sequence parameter set (H.264, 7.3.2.1.1); scaling lists are taken for absent."""
    profile = bits.fixed(8)
    bits.fixed(16)  # constraint flags, level
    bits.exp_golomb()  # seq_parameter_set_id
    if profile in _HIGH_PROFILES:
        if bits.exp_golomb() == 3:  # chroma_format_idc
            bits.fixed(1)
        bits.exp_golomb(), bits.exp_golomb()  # bit depths
        bits.fixed(1)
        if bits.fixed(1):  # seq_scaling_matrix_present_flag: too rare to be worth its parser
            return True
    bits.exp_golomb()  # log2_max_frame_num
    order_type = bits.exp_golomb()
    if order_type == 0:
        bits.exp_golomb()
    elif order_type == 1:
        bits.fixed(1)
        bits.exp_golomb(), bits.exp_golomb()
        for _ in range(min(bits.exp_golomb(), 255)):
            bits.exp_golomb()
    bits.exp_golomb()  # max_num_ref_frames
    bits.fixed(1)
    bits.exp_golomb(), bits.exp_golomb()  # picture size in macroblocks
    return bool(bits.fixed(1))
