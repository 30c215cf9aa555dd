"""The state and the codes in which each odd video must end."""

from __future__ import annotations

from tests.support.odd_videos import CASES
from videoseq.video.pyav_capture import CAN_CONVERT_INTERLACED

COMPLETE = {
    "bit_depth_reduced": ["ten_bit_h264", "ten_bit_hevc", "ten_bit_ffv1", "gray_16_bit"],
    "bit_depth_reduced,hdr": ["hdr_mp4", "hdr_mkv"],
    "alpha_dropped": ["alpha_qtrle", "alpha_png", "alpha_ffv1"],
    "bit_depth_reduced,alpha_dropped": ["alpha_prores"],
    "interlaced": ["interlaced_mpg", "interlaced_mkv", "interlaced_ts"],
    "no_frame_times": ["raw_h264"],
    # The last frame of these gets no time from OpenCV.
    "times_repaired": ["mpg", "b_frames_mpg", "b_frames_avi"]
    + ["repeated_mkv", "repeated_ts", "jump_back_mkv", "jump_back_ts"],
}
DEGRADED = {
    "truncated": ["truncated_mkv_60", "truncated_webm_60"],
    "truncated,corrupt_span": ["truncated_mp4_30", "truncated_mp4_60", "truncated_mp4_90", "truncated_avi_60"]
    + ["truncated_ts_60"],
    "corrupt_span": ["damaged_mp4", "damaged_mkv", "damaged_ts", "damaged_webm", "gap_ts"] + ["gap_of_whole_groups_ts"],
    "corrupt_span,times_repaired": ["damaged_avi", "restarted_ts"],
    "truncated,corrupt_span,times_repaired": ["truncated_mpg_60"],
    "corrupt_span,timestamp_gap": ["damaged_mpg"],
    "resolution_changed": ["size_change"],
    "resolution_changed,times_repaired": ["size_change_restarted"],
}
FAILED = {
    "empty": ["empty"],
    "not_video": ["text", "noise", "picture_png", "picture_jpeg"],
    "no_video_stream": [name for name in CASES if name.startswith("sound_only")] + ["no_frames_mp4"],
    "no_frames": ["no_samples_mp4", "no_frames_mkv", "no_frames_avi"],
    "moov_missing": ["truncated_mp4_moov_last_60", "header_only"],
    "truncated": ["header_only_moov_first"],
    "unsupported": ["interlaced_halfway_ts"],
}


def outcomes() -> dict[str, tuple[str, str]]:
    """Every odd video's state and codes; those named nowhere are complete without a word."""
    expected = dict.fromkeys(CASES, ("complete", ""))
    for state, by_codes in (("complete", COMPLETE), ("degraded", DEGRADED), ("failed", FAILED)):
        expected |= {name: (state, codes) for codes, names in by_codes.items() for name in names}
    if CAN_CONVERT_INTERLACED:  # OpenCV 4.12, which reads them itself
        expected["interlaced_mpg"] = ("complete", "times_repaired,interlaced")
        expected["interlaced_halfway_ts"] = ("degraded", "corrupt_span")  # where the two parts are joined
    return expected
