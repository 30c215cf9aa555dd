"""Does a newly trained model give the same labels when its CNN computes in bfloat16, which is faster?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from videoseq.data.dataset import Clip
from videoseq.evaluation.precision import label_agreement, spread_clips
from videoseq.features.runtimes import select_runtime
from videoseq.jobs.feature_provider import FeatureProvider, Resources
from videoseq.models.model_folder import MIN_AGREEMENT, ModelFolder
from videoseq.system.hardware import cpu_computes_bfloat16
from videoseq.system.torch_devices import choose_device
from videoseq.training.baseline import HeadAndBaseline


def with_agreement(
    contents: ModelFolder, kept: HeadAndBaseline, clips: Sequence[Clip], resources: Resources
) -> ModelFolder:
    """Measures on which share of frames bfloat16 gives the labels of float32, and records it in the model's config.

    Labeling uses bfloat16 without being asked where the share is high enough. Nothing is measured where the CPU does
    not compute in bfloat16, another device is used, or a precision was chosen.

    Args:
        contents: The trained model.
        kept: Its networks, which may have a CNN of their own.
        clips: Those of the training; some of them are enough.
        resources: What features are computed with.
    """
    choice = resources.choice
    if choice.precision != "auto" or choose_device(choice.device).type != "cpu" or not cpu_computes_bfloat16():
        return contents
    resources = replace(resources, choice=replace(choice, precision="bfloat16"))
    runtime, backbone = select_runtime(contents.backbone, resources.choice), contents.config.settings.backbone
    # A fine-tuned CNN is in this process only.
    source = backbone if backbone.trainable == 0 else None
    provider = FeatureProvider(runtime, contents.config.sample_hz, source, resources)
    clips = kept.with_own_features(spread_clips(clips))
    with provider.open([clip.entry.video for clip in clips], "features in bfloat16") as features_of:
        pairs = ((clip.features, features_of(clip.entry.video)) for clip in clips)
        share = label_agreement(contents.head, pairs, contents.classes)
    same = f"({100 * share:.2f} % of frames)"
    text = f"bfloat16 gives the same labels {same} and will be used"
    if share < MIN_AGREEMENT:
        text = f"bfloat16 gives other labels {same}; float32 will be used"
    resources.listener.on_message(text, event="agreement", precision=runtime.precision, share=share)
    config = contents.config.model_copy(update={"agreement": {runtime.precision: round(share, 6)}})
    return replace(contents, config=config)
