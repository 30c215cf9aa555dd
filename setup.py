"""The packages: all of videoseq/, and the programs, which lie beside it and install inside it (CONTRIBUTING.md)."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["videoseq", "videoseq.*"]), "videoseq.pipelines"],
    package_dir={"videoseq.pipelines": "pipelines"},
)
