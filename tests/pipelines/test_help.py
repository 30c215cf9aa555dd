"""``--help`` is plain text in groups, and comes at once."""

from __future__ import annotations

import re
import subprocess
import sys


def test_help_of_label_is_grouped_and_loads_nothing_heavy():
    program = (
        "import sys; sys.argv = ['videoseq', 'label', '--help']; from pipelines.__main__ import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print([name for name in ('torch', 'cv2', 'numpy', 'rich') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    groups = re.split(r"\n(?=[A-Z][\w ]+:\n)", done.stdout)
    options = {group.partition(":")[0]: re.findall(r"^  (?:-\w, )?(--[\w-]+)", group, re.MULTILINE) for group in groups}
    assert options["Options"] == ["--model", "--out", "--overwrite", "--dry-run", "--help"]
    assert "--retry-failed" in options["Many videos"]
    assert "--shard" in options["Several processes and machines"]
    assert "--isolate" in options["Damaged and hostile videos"]
