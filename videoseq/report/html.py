"""The report of a training or an evaluation: one HTML file that opens from disk and asks the network for nothing."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jinja2
from markupsafe import Markup

from videoseq.annotations.types import ClassNames
from videoseq.data.statistics import ClassOverview
from videoseq.errors import Notice
from videoseq.evaluation.metrics import HEADLINES, MULTILABEL_HEADLINES, Headline, VideoMetrics
from videoseq.evaluation.metrics.results import MIN_UNITS_FOR_P
from videoseq.evaluation.metrics_json import FoldResult
from videoseq.evaluation.results import MODEL, NO_CONTEXT, PREVIOUS, Evaluation
from videoseq.inference.drawing import color_of, hatch_of, visible
from videoseq.report import curves
from videoseq.report.advice import advise
from videoseq.report.drawing import to_svg
from videoseq.report.mistakes import WrongSpan, wrong_spans
from videoseq.report.timeline import draw_class_rows, draw_comparison
from videoseq.report.verdicts import context_verdict, previous_verdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from videoseq.training.fit_job import EpochRecord

_MAX_TIMELINES = 40


class _Look(NamedTuple):
    """What differs between the reports of the two tasks.

    Attributes:
        headlines: All numbers.
        cards: The first to be seen.
        right: The number of them that says which share of the frames is right.
        said: What the reliability curve has on its axis below.
        seen: And on the other.
        videos: The template of mistakes and timelines.
    """

    headlines: Mapping[str, Headline]
    cards: tuple[str, ...]
    right: str
    said: str
    seen: str
    videos: str


_MULTICLASS = _Look(
    headlines=HEADLINES,
    cards=("macro_f1", "accuracy", "f1_at_50", "mean_average_precision"),
    right="accuracy",
    said="confidence",
    seen="accuracy",
    videos="videos.html.jinja",
)
_MULTILABEL = _Look(
    headlines=MULTILABEL_HEADLINES,
    cards=("macro_f1", "micro_f1", "f1_at_50", "mean_average_precision"),
    right="exact_match",
    said="probability",
    seen="share that is present",
    videos="multilabel_videos.html.jinja",
)


def render_report(
    title: str,
    evaluation: Evaluation,
    classes: ClassNames,
    facts: Mapping[str, Any],
    notices: Sequence[Notice],
    history: Sequence[EpochRecord] = (),
    *,
    overview: Sequence[ClassOverview] = (),
    settings: str = "",
    images: Mapping[WrongSpan, bytes] | None = None,
    folds: Sequence[FoldResult] = (),
) -> str:
    """The page as text; it depends on nothing but its arguments.

    Args:
        title: Its headline.
        evaluation: What was measured.
        classes: The model's.
        facts: Shown as a table of names and values.
        notices: What the user should look at.
        history: The epochs of the training, if this reports one.
        overview: What was annotated.
        settings: All of them, as text.
        images: JPEGs of wrong spans, from :func:`videoseq.report.mistakes.read_images`.
        folds: The turns of a cross-validation.
    """
    model = evaluation.metrics[MODEL]
    look = _MULTILABEL if evaluation.is_multilabel else _MULTICLASS
    videos = _videos(evaluation, classes)
    images = images or {}
    bins = model.reliability
    reliability = curves.draw_reliability(bins, look.said, look.seen) if bins is not None else None
    return _template("report.html.jinja").render(
        title=title,
        metrics=evaluation.metrics,
        model=model,
        others={name: metrics for name, metrics in evaluation.metrics.items() if name != MODEL},
        no_context=NO_CONTEXT,
        has_no_context=NO_CONTEXT in evaluation.videos,
        has_groups=len({clip.group for clip in evaluation.clips}) < len(evaluation.clips),
        has_p_values=model.supports_p_values,
        min_units=MIN_UNITS_FOR_P,
        constant_baseline=evaluation.constant_baseline_name,
        thresholds=evaluation.thresholds or {},
        is_multilabel=evaluation.is_multilabel,
        cards=look.cards,
        headlines=look.headlines,
        videos_template=look.videos,
        differences={
            other: found
            for other, found in ((NO_CONTEXT, evaluation.differences), (PREVIOUS, evaluation.minus_previous))
            if found
        },
        verdicts=[context_verdict(evaluation), *previous_verdict(evaluation)],
        advice=advise(evaluation, notices, overview),
        background=evaluation.background,
        classes=classes,
        reliability=_svg(reliability, f"Reliability: {look.seen} against {look.said}", "reliability"),
        precision_recall=_svg(
            curves.draw_precision_recall(evaluation.clips, classes), "Precision against recall", "precision-recall"
        ),
        mistakes=[_mistake(span, videos, images.get(span)) for span in wrong_spans(evaluation.clips)],
        num_images=len(images),
        videos=videos,
        num_hidden=max(0, len(videos) - _MAX_TIMELINES),
        overview=overview,
        facts=facts,
        settings=settings,
        notices=notices,
        history=history,
        groups=_groups(evaluation),
        folds=[FoldResult(tuple(visible(group) for group in fold.groups), fold.headline) for fold in folds],
        learning_curves=_svg(curves.draw_learning_curves(history) if history else None, "Loss of each epoch", "loss"),
    )


def render_model_card(*, is_multilabel: bool = False, **values: Any) -> str:  # noqa: ANN401 (a template takes what it shows)
    """The model folder's README.md as text."""
    look = _MULTILABEL if is_multilabel else _MULTICLASS
    columns = {name: look.headlines[name].title for name in (look.right, "macro_f1")}
    return _template("model_card.md.jinja").render(is_multilabel=is_multilabel, columns=columns, **values)


class _Video(NamedTuple):
    """A row of the table of videos; ``anchor`` leads to its timeline, if that is drawn."""

    row: int
    name: str
    group: str
    metrics: VideoMetrics
    right: float | None
    no_context: float | None
    anchor: str | None
    timeline: Markup | None


def _videos(evaluation: Evaluation, classes: ClassNames) -> list[_Video]:
    """The videos, the worst first, the first of them with their timelines."""
    measured = evaluation.videos[MODEL]
    draw = draw_class_rows if evaluation.is_multilabel else draw_comparison
    right = [one.video_accuracy for one in measured]
    order = sorted(range(len(measured)), key=lambda row: _or_last(right[row]))
    found = []
    for place, row in enumerate(order):
        clip, anchor, timeline = evaluation.clips[row], None, None
        if place < _MAX_TIMELINES:
            anchor = f"video-{row + 1}"
            timeline = _svg(draw(clip, classes), f"Truth and labels of {clip.name} over time", anchor)
        blind = evaluation.videos[NO_CONTEXT][row].video_accuracy if NO_CONTEXT in evaluation.videos else None
        found.append(_Video(row, clip.name, clip.group, measured[row], right[row], blind, anchor, timeline))
    return found


def _groups(evaluation: Evaluation) -> list[tuple[str, float, float | None]]:
    """Each group with its macro F1 and the baseline's, the worst first; none where each video is a group of its own."""
    found = evaluation.groups.get(MODEL, {})
    if not 1 < len(found) < len(evaluation.clips):
        return []
    blind = evaluation.groups.get(NO_CONTEXT, {})
    return [(name, found[name], blind.get(name)) for name in sorted(found, key=found.__getitem__)]


def _or_last(share: float | None) -> float:
    return 2.0 if share is None else share


def _mistake(span: WrongSpan, videos: Sequence[_Video], image: bytes | None) -> dict[str, Any]:
    video = next(one for one in videos if one.row == span.video)
    address = None if image is None else f"data:image/jpeg;base64,{base64.b64encode(image).decode()}"
    return {"span": span, "name": video.name, "anchor": video.anchor, "image": address}


def _svg(figure: Figure | None, title: str, key: str | None) -> Markup | None:
    """A picture that the template takes as it is: :func:`to_svg` has escaped what is in it."""
    return None if figure is None else Markup(to_svg(figure, title, f"{key}-svg"))  # noqa: S704


def _template(name: str) -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("videoseq.report"),
        autoescape=jinja2.select_autoescape(["html.jinja"]),
        undefined=jinja2.StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["percent"] = lambda value: _number(value, "share")
    environment.filters["number"] = _number
    environment.filters["p_value"] = _p_value
    environment.filters["swatch"] = _swatch
    environment.filters["capitalize"] = lambda text: text[:1].upper() + text[1:]
    return environment.get_template(name)


def _visible(value: Any) -> Any:  # noqa: ANN401 (whatever a template shows)
    """Control characters in names, and those that turn the text after them, are seen as escapes."""
    return value if isinstance(value, (Markup, int, float)) or value is None else visible(str(value))


def _number(value: float | None, unit: str) -> str:
    """A number for people: a share in percent, with one decimal."""
    if value is None:
        return "–"
    shown = f"{100 * value:.1f}" if unit == "share" else f"{value:.2f}"
    return shown.replace("-", "−")


def _p_value(value: float | None) -> str:
    return "–" if value is None else "< 0.0001" if value < 0.0001 else f"{value:.4f}"


def _swatch(index: int) -> str:
    """A class's color and hatch as a CSS background."""
    color = color_of(index)
    hatch = {"": "", "////": "repeating-linear-gradient(135deg, #fff 0 1px, transparent 1px 4px), "}
    return f"{hatch.get(hatch_of(index), 'radial-gradient(#fff 1.2px, transparent 1.4px) 0 0 / 5px 5px, ')}{color}"
