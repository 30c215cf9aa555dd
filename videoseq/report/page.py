"""The report of a training or an evaluation: one HTML file that opens from disk and asks the network for nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jinja2

from videoseq.annotations import ClassNames
from videoseq.errors import Notice
from videoseq.evaluation import MODEL, NO_CONTEXT, PREVIOUS, Evaluation
from videoseq.metrics import HEADLINES, Estimate, LabelledVideo, VideoMetrics
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
    videos = list(zip(evaluation.clips, evaluation.videos[MODEL], strict=True))
    return _template("report.html.jinja").render(
        title=title,
        metrics=evaluation.metrics,
        model=evaluation.metrics[MODEL],
        other=NO_CONTEXT,
        headlines=HEADLINES,
        differences=evaluation.differences,
        previous=PREVIOUS,
        minus_previous=evaluation.minus_previous,
        background=evaluation.background,
        classes=classes,
        timelines=[_clip_svg(*one, classes) for one in videos[:_MAX_TIMELINES]],
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
    environment.filters["percent"] = _percent
    environment.filters["seconds"] = lambda value: "–" if value is None else f"{value:.2f}"
    environment.filters["estimate"] = _estimate
    return environment.get_template(name)


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"


def _estimate(estimate: Estimate, unit: str) -> str:
    """A number with its interval, a share in percent."""

    def show(value: float | None) -> str:
        return _percent(value) if unit == "share" or value is None else f"{value:.2f}"

    if estimate.low is None:
        return show(estimate.value)
    return f"{show(estimate.value)} ({show(estimate.low)} to {show(estimate.high)})"


def _clip_svg(clip: LabelledVideo, metrics: VideoMetrics, classes: ClassNames) -> str:
    bands = [
        Band("truth", clip.seconds, clip.duration_seconds, clip.targets),
        Band("label", clip.seconds, clip.duration_seconds, clip.labels),
    ]
    right = "no labelled frame" if metrics.accuracy is None else f"{100 * metrics.accuracy:.1f} % right"
    return to_svg(draw_timeline(bands, classes, f"{clip.name}: {right}"))
