"""The report of a training or an evaluation: one HTML file that opens from disk and asks the network for nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jinja2

from videoseq.annotations import ClassNames
from videoseq.errors import Notice
from videoseq.evaluation import MODEL, ClipResult, Evaluation
from videoseq.report.timeline import Band, draw_timeline, to_svg

if TYPE_CHECKING:
    from videoseq.training import EpochRecord

_MAX_TIMELINES = 40


def render_report(
    title: str,
    evaluation: Evaluation,
    classes: ClassNames,
    facts: dict[str, Any],
    notices: Sequence[Notice],
    history: Sequence[EpochRecord] = (),
) -> str:
    """The page as text.

    Args:
        title: Its headline.
        evaluation: What was measured.
        classes: The model's.
        facts: Shown as a table of names and values.
        notices: What the user should look at.
        history: The epochs of the training, if this reports one.
    """
    return _template("report.html.jinja").render(
        title=title,
        metrics=evaluation.metrics,
        model=evaluation.metrics[MODEL],
        classes=classes,
        timelines=[_clip_svg(clip, classes) for clip in evaluation.clips[:_MAX_TIMELINES]],
        num_hidden=max(0, len(evaluation.clips) - _MAX_TIMELINES),
        facts=facts,
        notices=notices,
        history=history,
    )


def render_model_card(**values: Any) -> str:  # noqa: ANN401 (a template takes what it shows)
    """The model folder's README.md as text."""
    return _template("model_card.md.jinja").render(**values)


def _template(name: str) -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("videoseq", "report"),
        autoescape=jinja2.select_autoescape(["html.jinja"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["percent"] = lambda value: "–" if value is None else f"{100 * value:.1f}"
    return environment.get_template(name)


def _clip_svg(clip: ClipResult, classes: ClassNames) -> str:
    bands = [
        Band("truth", clip.seconds, clip.duration_seconds, clip.targets),
        Band("label", clip.seconds, clip.duration_seconds, clip.labels),
    ]
    accuracy = clip.metrics.accuracy
    right = "no labelled frame" if accuracy is None else f"{100 * accuracy:.1f} % right"
    return to_svg(draw_timeline(bands, classes, f"{clip.name}: {right}"))
