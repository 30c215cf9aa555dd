"""videoseq doctor: what this machine will use."""

from __future__ import annotations

import json
import re
import sys

import pytest


@pytest.mark.slow
def test_doctor_lists_what_this_machine_will_use(cli):
    run = cli("doctor", "--json")
    assert (run.returncode, run.stderr) == (0, "")
    facts = json.loads(run.stdout)
    assert facts["python"] == ".".join(map(str, sys.version_info[:3]))
    for name in ("videoseq", "torch", "opencv-python", "pytorch-lightning", "numpy", "safetensors"):
        assert facts[name][0].isdigit(), name
    assert re.match(r"avcodec \d+\.\d+\.\d+, avformat \d+", facts["FFmpeg in OpenCV"])
    assert facts["interlaced video"] in ("read by OpenCV", "read by PyAV")
    assert facts["efficientnet_lite0"].startswith("ready, openvino ")
    speeds = {name: fact for name, fact in facts.items() if "frames/s measured" in str(fact)}
    assert {"openvino float32", "torch float32"} <= set(speeds)
    assert [name for name, fact in speeds.items() if fact.endswith("*")] == ["openvino float32"]
    assert all(int(fact.split()[0]) > 1 for fact in speeds.values())
    assert facts["cpu cores"] >= 1
