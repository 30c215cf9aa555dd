"""Annotated clips → a fitted head: truncated backpropagation through time, the state carried as in labeling."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace

import torch

from videoseq.config.schema import HeadSettings, TrainerSettings, TrainingSettings
from videoseq.data.augmentation import Augmentation
from videoseq.data.dataset import Clip
from videoseq.errors import ConfigError, Notice
from videoseq.jobs.events import Listener, Progress
from videoseq.models.bidirectional import make_network
from videoseq.models.ensemble import Ensemble
from videoseq.models.head import Head, RNNHead
from videoseq.models.reduction import Reduction
from videoseq.system.torch_devices import random_state, set_random_state
from videoseq.training.checkpoints import CheckpointFolder
from videoseq.training.distributed import fit_on_ranks
from videoseq.training.fit_job import EpochRecord, FitJob, Fitted, Tell, write_or_tell
from videoseq.training.lightning_module import ClipData, SequenceModule, loss_weights
from videoseq.training.loop import run_epochs
from videoseq.training.pca_features import fit_pca, mean_deviation, pca_clips
from videoseq.training.trainer import is_distributed


@dataclass(frozen=True, eq=False)
class FitResult:
    """A fitted head in eval mode.

    Attributes:
        head: With the weights of the epoch that was taken.
        best_epoch: Which that was; of an ensemble, the first member's.
        history: Every epoch's record; of an ensemble, the first member's.
    """

    head: Head
    best_epoch: int
    history: tuple[EpochRecord, ...]


@dataclass(frozen=True)
class FitEnvironment:
    """Where networks are fitted and kept, and who hears of it.

    Attributes:
        device: The CPU by default.
        trainer: In how many processes, and in what precision.
        checkpoints: Where fits are kept while they run; by default nowhere.
        listener: Hears every epoch as progress, with the fields of its :class:`EpochRecord` as facts, and notices.
    """

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    trainer: TrainerSettings = field(default_factory=TrainerSettings)
    checkpoints: CheckpointFolder | None = None
    listener: Listener = field(default_factory=Listener)

    def tell(self, stage: str, num_members: int) -> Tell:
        """What passes epochs and notices of one fit on to the listener.

        Args:
            stage: What the fit is called.
            num_members: How many networks it has.
        """

        def tell(what: EpochRecord | Notice) -> None:
            if isinstance(what, Notice):
                self.listener.on_notice(what)
                return
            num_done = what.member * what.max_epochs + what.epoch + 1
            num_total, facts = num_members * what.max_epochs, asdict(what)
            self.listener.on_progress(Progress(stage, num_done, num_total, what.text, facts))
            member = f", network {what.member + 1}" if num_members > 1 else ""
            text = f"{stage}{member}: epoch {what.epoch}: {what.text}"
            self.listener.on_message(text, event="epoch", is_detail=True, stage=stage, **facts)

        return tell

    def end(self, stage: str) -> None:
        """Tells the listener that a fit is done, however many epochs it took."""
        self.listener.on_progress(Progress(stage, 1, 1))


def fit(
    train: Sequence[Clip],
    val: Sequence[Clip],
    num_classes: int,
    head: HeadSettings,
    settings: TrainingSettings,
    *,
    environment: FitEnvironment | None = None,
    name: str = "head",
    learned: Reduction | None = None,
) -> FitResult:
    """Fits a new head; with ``settings.patience`` the validation clips decide when to stop and which epoch to take.

    Every draw comes from ``settings.seed``, for further members of an ensemble from the numbers after it; the caller's
    random state is as before when this returns.

    Args:
        train: Clips to learn from; at least one with a labeled frame.
        val: Clips to validate on; there may be none, and then the last epoch's weights are taken.
        num_classes: Size of the logits.
        head: The network.
        settings: How to fit it.
        environment: Where to train; by default this process, on the CPU.
        name: Of this fit, in the progress and among the checkpoints.
        learned: The reduction of another head that was fitted on the same training clips; by default this head learns
            its own, which takes as long as several epochs.

    Raises:
        ConfigError: The loss became infinite or no number; the settings ask for too large steps, or for more room or
            more processes than there is.
        OutputError: There is no room for the clips' components.
    """
    environment = environment or FitEnvironment()
    weights = loss_weights(train, num_classes, settings)
    networks: list[RNNHead] = []
    results: list[FitResult] = []
    with ExitStack() as stack:
        for member in range(settings.ensemble):
            stack.enter_context(seeded(settings.seed + member))
            networks.append(make_network(train[0].features.features.shape[1], num_classes, head))
            if member == 0:
                fit_pca(networks[0], train) if learned is None else networks[0].reduction.take(learned)
                clips = stack.enter_context(pca_clips(networks[0], [*train, *val]))
                deviation = mean_deviation(clips[: len(train)]) if settings.noise else 0.0
                augmentation = Augmentation(settings.time_stretch, settings.noise * deviation)
            networks[-1].reduction.load_state_dict(networks[0].reduction.state_dict())
            module = SequenceModule(networks[-1], weights, settings)
            data = ClipData(clips[: len(train)], clips[len(train) :], settings, settings.seed + member, augmentation)
            results.append(fit_module(module, data, settings, environment, name, member))
    environment.end(name)
    fitted = networks[0] if len(networks) == 1 else Ensemble(networks).eval()
    if train[0].is_multilabel:
        fitted.add_thresholds()
    return replace(results[0], head=fitted)


def fit_module(
    module: SequenceModule,
    data: ClipData,
    settings: TrainingSettings,
    environment: FitEnvironment,
    name: str,
    member: int = 0,
) -> FitResult:
    """Fits one module, which ends on the CPU with the weights of the epoch that is taken.

    A fit that a checkpoint has done is taken from it; a fit that a checkpoint has begun is continued.

    Raises:
        ConfigError: The loss became infinite or no number, or there is no room on the device.
    """
    tell, checkpoint = environment.tell(name, settings.ensemble), None
    if environment.checkpoints is not None:
        checkpoint = environment.checkpoints.of(name if settings.ensemble == 1 else f"{name}, network {member + 1}")
    state = checkpoint.read(is_done=True) if checkpoint is not None else None
    if state is not None:
        fitted = Fitted.from_state(state)
        tell(fitted.history[-1])
    else:
        job = FitJob(module, data, settings, environment.trainer, environment.device, member, checkpoint)
        fitted = _fit_with_room(job, tell)
        if checkpoint is not None:
            write_or_tell(checkpoint, fitted.as_state(), tell, is_done=True)
    if fitted.batch_size != settings.batch_size:
        tell(_batch_size_halved(environment.device, fitted.batch_size))
    module.load_state_dict(fitted.weights)
    return FitResult(module.cpu().head.eval(), fitted.best_epoch, fitted.history)


def _fit_with_room(job: FitJob, tell: Tell) -> Fitted:
    """Fits; if the device has no room for the batch size, starts again with half of it and notes that."""
    run = fit_on_ranks if is_distributed(job.trainer) else run_epochs
    weights, random = copy.deepcopy(job.module.state_dict()), random_state(job.device)
    may_resume = True
    while True:
        with suppress(torch.OutOfMemoryError):
            return run(job, tell, may_resume=may_resume)
        may_resume = False
        if not job.data.halve_batch_size():
            raise ConfigError(
                f"training: expected room for one video on {job.device}, got none; lower training.tbptt_steps (it is "
                f"{job.settings.tbptt_steps}), or use --device cpu"
            )
        tell(_batch_size_halved(job.device, job.data.batch_size))
        job.module.cpu().zero_grad()
        job.module.load_state_dict(weights)
        set_random_state(random, job.device)
        torch.cuda.empty_cache()


def _batch_size_halved(device: torch.device, batch_size: int) -> Notice:
    text = f"{device} has no room for more than {batch_size} videos in a batch"
    return Notice(
        "batch_size_halved", f"{text}; networks that needed it were fitted with training.batch_size={batch_size}"
    )


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Initial weights and dropout draw from ``seed`` inside, and nothing outside notices."""
    devices = list(range(torch.cuda.device_count()))
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        yield
