"""The schema of params.yaml, read once by the command and handed down; each part owns its section.

What a model is made of (data, model, training, judgement) goes into the name of its run; where that happens
(platform, tracking, serving) does not.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mlstack.errors import UsageError

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(gt=0)]


class Section(BaseModel):
    """A part of params.yaml: unknown keys are errors, and nothing changes once it was read."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class Data(Section):
    """The data set: a folder with train, validation and test, of packed shards or of JSON lines.

    folder  where it lies, beside the `.dvc` file that names its version
    text    the field that holds the text; for causal-lm a list of chat messages (`role`, `content`)
    label   the field that holds the label; causal-lm has none
    remote  the DVC remote to push to and pull from; the default one where empty
    """

    folder: Path = Path("data/reuters-r8")
    text: str = "text"
    label: str = "label"
    remote: str = ""


class Lora(Section):
    """Low-rank adapters beside frozen weights (https://arxiv.org/abs/2106.09685).

    modules  the names of the linear layers that get one
    """

    rank: Positive = 16
    alpha: Annotated[float, Field(gt=0)] = 32
    dropout: Share = 0.0
    modules: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


class Model(Section):
    """What is trained.

    name        in the registry, and of the experiment
    task        text-classification (an encoder and a linear head) or causal-lm (chat-formatted fine-tuning)
    checkpoint  a Hugging Face checkpoint's folder; `all-minilm-l6-v2` is the one that comes with mlstack
    max_tokens  longer texts are cut
    lora        adapters instead of all weights; null: all weights
    """

    name: str = "reuters-r8"
    task: Literal["text-classification", "causal-lm"] = "text-classification"
    checkpoint: str = "all-minilm-l6-v2"
    max_tokens: Positive = 256
    lora: Lora | None = None


class Training(Section):
    """How it is trained.

    batch_tokens        tokens of one step's forward pass, in rows of `row_tokens` that hold whole texts without padding
    accumulate          forward passes before a step of the optimizer
    head_learning_rate  of the classification head, which starts from a linear probe of the frozen encoder
    warmup              the share of steps in which the learning rate grows
    precision           of matrix products: bf16 where the processor has it (auto), bf16 or fp32
    recompute           activations are computed again backwards instead of kept: less memory, a third more time
    deterministic       bit-equal reruns, at a price
    checkpoint_seconds  a checkpoint at least so often; a killed training loses no more
    workers             processes that train together, each with its own GPU where there are any
    """

    epochs: Positive = 3
    learning_rate: Annotated[float, Field(gt=0)] = 1e-4
    head_learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    warmup: Share = 0.1
    clip_norm: Annotated[float, Field(gt=0)] = 1.0
    dropout: Share = 0.1
    batch_tokens: Positive = 4096
    row_tokens: Positive = 256
    accumulate: Positive = 1
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    compile: bool = False
    deterministic: bool = False
    recompute: bool = False
    checkpoint_seconds: Annotated[float, Field(gt=0)] = 30
    seed: int = 7
    workers: Positive = 1


class Tune(Section):
    """The search for better parameters.

    space  by dotted path (`training.learning_rate`): `low` and `high` of a logarithmic range, or `choices`
    """

    trials: Positive = 4
    concurrent: Positive = 1
    grace_epochs: Positive = 1
    space: Mapping[str, Mapping[str, Any]] = Field(default_factory=dict)


class Judgement(Section):
    """What a candidate has to show before it is registered.

    metric      what candidates are compared by
    min_margin  how much better than baseline and champion it has to be
    resamples   of the bootstrap that gives 95 % confidence intervals
    """

    metric: Literal["accuracy", "macro_f1"] = "macro_f1"
    min_margin: float = 0.0
    resamples: Positive = 1000


class Tracking(Section):
    """How runs are told to MLflow.

    flush_seconds  how long a run's end waits for an MLflow that does not answer; the next command sends what is left
    """

    flush_seconds: Annotated[float, Field(ge=0)] = 60


class Serving(Section):
    """The served model: whatever version has the alias.

    max_batch           texts of one forward pass; a request with more has one of its own
    batch_wait_seconds  how long a request waits for others to share a forward pass with
    max_bytes           of a request's body
    follow_seconds      how often a replica asks the registry which version has the alias
    """

    alias: str = "champion"
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 8000
    replicas: Positive = 1
    max_batch: Positive = 32
    batch_wait_seconds: Annotated[float, Field(ge=0)] = 0.005
    max_texts: Positive = 64
    max_characters: Positive = 20_000
    max_bytes: Positive = 4 * 1024 * 1024
    follow_seconds: Annotated[float, Field(gt=0)] = 2


class Platform(Section):
    """Where it all happens: `embedded` (SQLite, a local Ray) or `cluster` (the platform's MLflow, DVC remote and Ray).

    artifacts  cluster only: the folder that site.yml left, with addresses, logins and the CA; null within the
               cluster's pods, whose environment has them
    state      embedded only: MLflow's database, Ray's and runs' files
    image      cluster only: what jobs run in
    """

    kind: Literal["embedded", "cluster"] = "embedded"
    artifacts: Path | None = None
    state: Path = Path("state")
    image: str = "docker.io/groundwork/ml-stack:1"
    namespace: str = "ray"


class Config(Section):
    """All of params.yaml."""

    data: Data = Data()
    model: Model = Model()
    training: Training = Training()
    tune: Tune = Tune()
    judgement: Judgement = Judgement()
    tracking: Tracking = Tracking()
    serving: Serving = Serving()
    platform: Platform = Platform()


def read(path: Path, settings: Sequence[str] = ()) -> Config:
    """Read params.yaml, and settings (`section.key=value`) over it.

    Raises:
        UsageError: where the file cannot be read, a key is unknown (the nearest one is named), or a value is wrong.
    """
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}", "Run mlstack where params.yaml is, or name one by --params."
        ) from None
    except yaml.YAMLError as error:
        raise UsageError(
            f"{path} is no YAML: {' '.join(str(error).split())}", "Write `section:` and `  key: value` lines."
        ) from None
    if not isinstance(given, dict):
        raise UsageError(f"{path} holds no sections", "Write `section:` and `  key: value` lines.")
    for setting in settings:
        _set(given, setting)
    return parse(given, str(path))


def parse(given: Mapping[str, Any], source: str = "params") -> Config:
    """The same of what was read already. Raises UsageError, naming every wrong key."""
    try:
        return Config.model_validate(given)
    except ValidationError as error:
        faults = [_told(fault["loc"], fault["type"], fault["msg"]) for fault in error.errors()]
        raise UsageError(f"{source}: {'; '.join(faults)}", "Correct it; mlstack/config.py tells every key.") from None


def with_settings(config: Config, settings: Mapping[str, Any]) -> Config:
    """The configuration with some values changed, named by dotted paths."""
    given = config.model_dump(mode="json")
    for path, value in settings.items():
        _put(given, path, value)
    return parse(given)


def _set(given: dict[str, Any], setting: str) -> None:
    path, equals, value = setting.partition("=")
    if not equals or "." not in path:
        raise UsageError(
            f"--set {setting!r} is not understood", "Write it as section.key=value, as in training.epochs=1."
        )
    _put(given, path, yaml.safe_load(value))


def _put(given: dict[str, Any], path: str, value: Any) -> None:
    *sections, key = path.split(".")
    for section in sections:
        inner = given.get(section)
        given[section] = inner if isinstance(inner, dict) else {}
        given = given[section]
    given[key] = value


def _told(place: tuple[int | str, ...], kind: str, message: str) -> str:
    name = ".".join(str(part) for part in place)
    if kind != "extra_forbidden":
        return f"{name}: {message[0].lower()}{message[1:]}"
    near = difflib.get_close_matches(name, list(_names(Config)), n=1, cutoff=0.5)
    return f"unknown key {name!r}" + (f", did you mean {near[0]!r}?" if near else "")


def _names(section: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """The dotted names of all keys."""
    for name, field in section.model_fields.items():
        yield f"{prefix}{name}"
        for inner in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                yield from _names(inner, f"{prefix}{name}.")
