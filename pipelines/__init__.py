"""The programs: arguments → parts → files, progress, exit status. One module per command, no algorithms.

Installed as ``videoseq.pipelines``. Nothing imports that name but the entry point: siblings are imported relatively,
parts absolutely (CONTRIBUTING.md, "Packaging").
"""
