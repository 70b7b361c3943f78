"""Keras' own `fit`, stage by stage, with checkpoints that a killed run goes on from."""

from __future__ import annotations

import json
import random
import time
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from lookalike.errors import ModelError
from lookalike.extractors.cards import DAMAGES
from lookalike.extractors.keras import export
from lookalike.system.files import writing
from lookalike.training.result import Epoch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from lookalike.training.networks import Shuffled
    from lookalike.training.run import Run, TrainingStage

    Stages: TypeAlias = Sequence[TrainingStage]

keras = export.keras()  # says what is missing


def fit(
    run: Run,
    model: Any,
    stages: Stages,
    learnt: Shuffled,
    validated: Shuffled | None,
    *,
    monitor: str = "loss",
) -> None:
    """Train a model through stages, and leave it in its best state.

    After Ctrl-C that is the best so far, if an epoch was finished; `run.stopped` says so.

    Args:
        run: to tell of epochs, and to keep states in.
        model: of Keras, built.
        stages: in their order; each goes on from the best state of the one before.
        learnt: what is learnt from.
        validated: what chooses the best state; None to go by what is learnt from.
        monitor: the measure that is to become small.

    Raises:
        ModelError: the checkpoint to go on from is damaged or of another model, or the numbers became none.
    """
    if validated is not None and not validated.num_batches:
        validated = None
    keeper = _Keeper(run, model, stages, learnt, f"{'val_' * (validated is not None)}{monitor}")
    first, done = keeper.resumed() if run.resume and run.checkpoint.exists() else (0, 0)
    try:
        for index, stage in enumerate(stages):
            if index < first or not stage.epochs:
                continue
            keeper.enter(index, resumed=index == first and done > 0)
            if not keeper.ended:
                model.fit(
                    learnt,
                    validation_data=validated,
                    initial_epoch=done if index == first else 0,
                    epochs=stage.epochs,
                    callbacks=[keeper],
                    shuffle=False,
                    verbose=0,
                )
            keeper.leave()
    except KeyboardInterrupt:
        if not run.epochs:
            raise
        run.stopped = True
        keeper.leave(stopped=True)
        of = sum(stage.epochs for stage in stages)
        state = "the best state until then" if run.recipe.best else "its state then"
        run.notes.append(
            f"stopped after epoch {run.epochs[-1].number} of {of}; {state} is the model, and --resume goes on"
        )


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed all random numbers of Keras, numpy and Python inside.

    The random numbers of Python and numpy go on afterwards as if nothing had been.
    """
    import tensorflow as tf

    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002  # Keras draws from these
    keras.utils.set_random_seed(seed)
    if tf.config.list_physical_devices("GPU"):
        tf.config.experimental.enable_op_determinism()
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002


class _Keeper(keras.callbacks.Callback):  # type: ignore[misc, name-defined]  # Keras has no types
    """Write the state after every epoch, report it, and end a stage that gets no better."""

    def __init__(
        self, run: Run, model: Any, stages: Sequence[TrainingStage], learnt: Shuffled, monitor: str
    ) -> None:
        super().__init__()
        self._run = run
        self._of = model
        self._stages = stages
        self._learnt = learnt
        self._monitor = monitor
        self._index = 0
        self._lowest = float("inf")
        self._waited = 0
        self._began = 0.0

    @property
    def ended(self) -> bool:
        """Return whether the stage has had no better epoch for as long as its patience lasts."""
        patience = self._stages[self._index].patience
        return bool(patience) and self._waited >= patience

    def enter(self, index: int, *, resumed: bool) -> None:
        """Begin a stage, or go on with it."""
        self._index = index
        self._stages[index].compile()
        self._of.optimizer.build(self._of.trainable_variables)
        if resumed:
            _restore(self._run.checkpoint, self._of, optimizer=True)
        else:
            self._waited = 0

    def leave(self, *, stopped: bool = False) -> None:
        """End a stage in its best or last state; what an epoch half done has changed is undone."""
        kept = self._run.best if self._run.recipe.best else self._run.checkpoint
        if (self._run.recipe.best or stopped) and kept.exists():
            _restore(kept, self._of, optimizer=False)

    def resumed(self) -> tuple[int, int]:
        """Take up what a checkpoint knows: the stage, and how many of its epochs are done."""
        state = _state(self._run.checkpoint, [stage.epochs for stage in self._stages])
        self._run.epochs[:] = state.epochs
        self._lowest, self._waited = state.lowest, state.waited
        return state.stage, state.done

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002  # Keras' signature
        """Give the pictures the order of this epoch."""
        self._learnt.epoch = sum(stage.epochs for stage in self._stages[: self._index]) + epoch
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Keep the state, and tell."""
        measures = {name: float(value) for name, value in (logs or {}).items()}
        value = measures[self._monitor]
        if not np.isfinite(value):
            raise ModelError(
                f"the training ran away: {self._monitor} is {value}; expected a number, so lower the rate"
            )
        better = value < self._lowest
        if better:
            self._lowest, self._waited = value, 0
        else:
            self._waited += 1
        made = self._epoch(epoch, measures, better=better)
        self._run.epochs.append(made)
        # What was told of is safe.
        self._keep(epoch + 1, better=better)
        self._run.tell(made)
        self.model.stop_training = self.ended

    def _epoch(self, epoch: int, measures: Mapping[str, float], *, better: bool) -> Epoch:
        of = sum(stage.epochs for stage in self._stages)
        number = sum(stage.epochs for stage in self._stages[: self._index]) + epoch + 1
        seconds = time.perf_counter() - self._began
        name = self._stages[self._index].name
        return Epoch(name, number, of, seconds, measures, (of - number) * seconds, better)

    def _keep(self, done: int, *, better: bool) -> None:
        state = {
            "stage": self._index,
            "done": done,
            "lowest": self._lowest,
            "waited": self._waited,
            "epochs": [asdict(epoch) for epoch in self._run.epochs],
        }
        if better:
            _save(self._run.best, self._of, state)
        _save(self._run.checkpoint, self._of, state)


def _variables(model: Any, *, optimizer: bool) -> list[Any]:
    """Return all variables that a model's next epoch depends on: weights, random states, optimizer."""
    measured = {id(variable) for variable in model.metrics_variables}
    own = [variable for variable in model.variables if id(variable) not in measured]
    if not optimizer:
        return own
    steps = {id(variable) for variable in own}
    return [*own, *(variable for variable in model.optimizer.variables if id(variable) not in steps)]


def _save(path: Path, model: Any, state: Mapping[str, Any]) -> None:
    arrays = {f"{i:05}": np.asarray(v) for i, v in enumerate(_variables(model, optimizer=True))}
    with writing(path) as part, part.open("wb") as file:
        np.savez(file, allow_pickle=False, state=np.array(json.dumps(state)), **arrays)


class _Checkpoint(NamedTuple):
    """Hold what a checkpoint knows beside the numbers of the model."""

    epochs: list[Epoch]
    lowest: float
    waited: int
    stage: int
    done: int


def _state(path: Path, stages: Sequence[int]) -> _Checkpoint:
    """Read what a checkpoint knows of a training whose stages have so many epochs.

    Raises:
        ModelError: it can't be read, or knows what can't be.
    """
    try:
        with np.load(path, allow_pickle=False) as content:
            said: dict[str, Any] = json.loads(str(content["state"]))
        epochs = [Epoch(**epoch) for epoch in said["epochs"]]
        state = _Checkpoint(
            epochs, float(said["lowest"]), *(said[name] for name in ("waited", "stage", "done"))
        )
        whole = all(type(number) is int and number >= 0 for number in state[2:])
        if not whole or state.stage >= len(stages) or state.done > stages[state.stage]:
            raise ValueError(f"it is at epoch {state.done} of stage {state.stage}")
    except DAMAGES as error:
        raise ModelError(f"{path} is damaged: {error}; begin anew with --overwrite") from error
    return state


def _restore(path: Path, model: Any, *, optimizer: bool) -> None:
    variables = _variables(model, optimizer=optimizer)
    try:
        with np.load(path, allow_pickle=False) as content:
            arrays = [content[f"{i:05}"] for i in range(len(variables)) if f"{i:05}" in content]
    except DAMAGES as error:
        raise ModelError(f"{path} is damaged: {error}; begin anew with --overwrite") from error
    shapes = [tuple(variable.shape) for variable in variables]
    if shapes != [array.shape for array in arrays]:
        raise ModelError(f"{path} is of another model; begin anew with --overwrite")
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
