"""``--help`` in plain text, with the options in groups."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand


class GroupedCommand(TyperCommand):
    """Shows each option under the ``rich_help_panel`` that it names; typer does this only with rich's boxes."""

    def format_options(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401 (typer's copy of click is private)
        """Writes the groups, in the order of their first options."""
        groups: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                default = "Arguments" if parameter.param_type_name == "argument" else "Options"
                panel = getattr(parameter, "rich_help_panel", None) or default
                groups.setdefault(panel, []).append(record)
        for title, records in groups.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)
